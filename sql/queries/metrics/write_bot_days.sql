-- What closed on the days %(first)s to %(last)s, of which %(days)s are true at %(as_of)s and have seen what %(seen)s show, of
-- %(bots)s, NULL for all: only what differs is written. Sums are taken in one order, so that they come out the same to the last bit.
WITH asked AS (
    SELECT day, as_of, seen::pg_snapshot AS seen
    FROM unnest(%(days)s::date[], %(as_of)s::timestamptz[], %(seen)s::text[]) AS d (day, as_of, seen)
),
found AS MATERIALIZED (
    SELECT a.day, t.bot_id, t.ticker, count(*) AS trades, count(*) FILTER (WHERE t.is_win) AS wins,
           sum(t.pnl ORDER BY t.exit_time, t.entry_time, t.trade_id) AS pnl,
           sum(t.fees ORDER BY t.exit_time, t.entry_time, t.trade_id) AS fees
    FROM asked AS a
    JOIN closed_trades AS t ON t.exit_time >= day_start(a.day) AND t.exit_time < a.as_of
        AND pg_visible_in_snapshot(t.recorded_xid, a.seen)
    WHERE t.exit_time >= day_start(%(first)s) AND t.exit_time < day_end(%(last)s) -- tells the planner how few they are
      AND (%(bots)s::integer[] IS NULL OR t.bot_id = ANY(%(bots)s::integer[]))
    GROUP BY a.day, t.bot_id, t.ticker
),
gone AS (
    DELETE FROM bot_days_rows AS b
    WHERE day BETWEEN %(first)s AND %(last)s AND (%(bots)s::integer[] IS NULL OR bot_id = ANY(%(bots)s::integer[]))
      AND NOT EXISTS (SELECT FROM found AS f WHERE (f.day, f.bot_id, f.ticker) = (b.day, b.bot_id, b.ticker))
)
INSERT INTO bot_days_rows (day, bot_id, ticker, trades, wins, pnl, fees)
SELECT day, bot_id, ticker, f.trades, f.wins, f.pnl, f.fees
FROM found AS f
LEFT JOIN bot_days_rows AS b USING (day, bot_id, ticker)
WHERE (f.trades, f.wins, f.pnl, f.fees) IS DISTINCT FROM (b.trades, b.wins, b.pnl, b.fees)
ORDER BY day, bot_id, ticker
ON CONFLICT (day, bot_id, ticker) DO UPDATE
SET trades = excluded.trades, wins = excluded.wins, pnl = excluded.pnl, fees = excluded.fees
