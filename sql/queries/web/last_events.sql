-- The last %(limit)s events for the webhook, the latest first, and what became of each.
SELECT event_id, kind, told, data, occurred_at, attempts, due_at, delivered_at, last_error,
       CASE WHEN delivered_at IS NOT NULL THEN 'taken' WHEN due_at IS NULL THEN 'given up' ELSE 'waits' END AS state
FROM webhook_events
ORDER BY event_id DESC
LIMIT %(limit)s
