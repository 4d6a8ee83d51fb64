-- Per UTC day from %(first)s to %(last)s: closed trades and what the checks look at. Counted by day and bot first: two
-- hash tables instead of the sort that count(DISTINCT) needs.
WITH by_bot AS (
    SELECT date_trunc('day', exit_time, 'UTC') AS day,
           bot_id,
           count(*) AS closed,
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
    GROUP BY 1, 2
)
SELECT (day AT TIME ZONE 'UTC')::date AS day,
       sum(closed)::bigint AS closed,
       count(*) AS bots,
       sum(reported)::bigint AS reported,
       sum(disagreeing)::bigint AS disagreeing,
       sum(without_exit)::bigint AS without_exit,
       sum(wrong_pnl)::bigint AS wrong_pnl
FROM by_bot
GROUP BY 1
ORDER BY 1
