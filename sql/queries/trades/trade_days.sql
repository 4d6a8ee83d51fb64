-- Per UTC day from %(first)s to %(last)s: closed trades, and stated pnl values that differ from the net pnl.
SELECT day,
       count(*) AS closed,
       count(reported_pnl) AS reported,
       count(*) FILTER (WHERE abs(reported_pnl - pnl) > 0.005 + 1e-6 * abs(pnl)) AS disagreeing
FROM closed_trades
WHERE exit_time >= day_start(%(first)s) AND exit_time < day_end(%(last)s)
GROUP BY day
ORDER BY day
