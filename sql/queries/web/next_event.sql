-- The event that is due the longest and that nobody else sends just now, locked until the end of the transaction.
-- %(patience)s: seconds after which an event is given up.
SELECT event_id, kind, told, data, occurred_at, attempts,
       occurred_at < clock_timestamp() - %(patience)s * interval '1 second' AS is_late
FROM webhook_events
WHERE due_at <= clock_timestamp()
ORDER BY due_at, event_id
LIMIT 1
FOR UPDATE SKIP LOCKED
