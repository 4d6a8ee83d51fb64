-- Per UTC day from %(first)s to %(last)s: closed trades, and stated pnl values that differ from the net pnl.
SELECT (exit_time AT TIME ZONE 'UTC')::date AS day,
       count(*) AS closed,
       count(reported_pnl) AS reported,
       count(*) FILTER (WHERE abs(reported_pnl - pnl) > 0.005 + 1e-6 * abs(pnl)) AS disagreeing
FROM trades
WHERE status = 'closed'
  AND exit_time >= %(first)s::date::timestamp AT TIME ZONE 'UTC'
  AND exit_time < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY 1
ORDER BY 1
