-- Per UTC day from %(first)s to %(last)s: closed trades, and stated pnl values that differ from the net pnl, beyond the rounding
-- that their file states them with.
-- Trades are counted without the rounding in sight: with it the server would sort them, which takes longer than to count them.
WITH counted AS (
    SELECT t.day, count(*) AS closed, count(t.reported_pnl) AS reported
    FROM closed_trades AS t
    WHERE t.exit_time >= day_start(%(first)s) AND t.exit_time < day_end(%(last)s)
    GROUP BY t.day
), disagreed AS (
    SELECT t.day, count(*) AS disagreeing
    FROM closed_trades AS t
    WHERE t.exit_time >= day_start(%(first)s) AND t.exit_time < day_end(%(last)s)
      AND (SELECT sum(reported) FROM counted) > 0 -- where nobody states a pnl, no trade is looked at again
      AND t.reported_pnl IS NOT NULL
      AND NOT pnl_agrees(t.pnl, t.reported_pnl, 0.005)
      AND NOT pnl_agrees(t.pnl, t.reported_pnl, (
          SELECT coalesce(min(i.pnl_rounding), 0.005) FROM trades AS o JOIN imports AS i USING (import_id)
          WHERE o.trade_id = t.trade_id))
    GROUP BY t.day
)
SELECT c.day, c.closed, c.reported, coalesce(d.disagreeing, 0) AS disagreeing
FROM counted AS c LEFT JOIN disagreed AS d USING (day)
ORDER BY c.day
