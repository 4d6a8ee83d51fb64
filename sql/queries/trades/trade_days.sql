-- Per UTC day from %(first)s to %(last)s: closed trades, and stated pnl values that differ from the net pnl, beyond the rounding
-- that their file states them with.
SELECT t.day,
       count(*) AS closed,
       count(t.reported_pnl) AS reported,
       count(*) FILTER (
           WHERE t.reported_pnl IS NOT NULL -- without it the rounding would be looked up for every trade
             AND NOT pnl_agrees(t.pnl, t.reported_pnl, 0.005)
             AND NOT pnl_agrees(t.pnl, t.reported_pnl, (
                 SELECT coalesce(min(i.pnl_rounding), 0.005) FROM trades AS o JOIN imports AS i USING (import_id)
                 WHERE o.trade_id = t.trade_id))) AS disagreeing
FROM closed_trades AS t
WHERE t.exit_time >= day_start(%(first)s) AND t.exit_time < day_end(%(last)s)
GROUP BY t.day
ORDER BY t.day
