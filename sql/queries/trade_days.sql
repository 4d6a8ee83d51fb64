-- Per UTC day from %(first)s to %(last)s: closed trades and what the checks look at.
SELECT (exit_time AT TIME ZONE 'UTC')::date AS day,
       count(*) AS closed,
       count(DISTINCT bot_id) AS bots,
       count(reported_pnl) AS reported,
       count(*) FILTER (WHERE abs(reported_pnl - pnl) > 0.005 + 1e-6 * abs(pnl)) AS disagreeing,
       count(*) FILTER (WHERE exit_time IS NULL OR exit_price IS NULL) AS without_exit,
       count(*) FILTER (WHERE pnl IS NULL OR abs(pnl - coalesce(
           notional * (CASE direction WHEN 'LONG' THEN 1 ELSE -1 END) * (exit_price - entry_price) / entry_price - fees,
           reported_pnl)) > 1e-9 * greatest(1, abs(pnl))) AS wrong_pnl
FROM trades
WHERE status = 'closed'
  AND exit_time >= %(first)s::date::timestamp AT TIME ZONE 'UTC'
  AND exit_time < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY 1
ORDER BY 1
