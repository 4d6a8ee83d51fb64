-- What is open of each bot on the days %(first)s to %(last)s, of which %(days)s are true at %(as_of)s: only what differs is
-- written. Sums are taken in one order, so that they come out the same to the last bit.
WITH found AS (
    SELECT day, bot_id, coalesce(ticker, '*') AS ticker, count(*) AS open_trades, sum(pnl ORDER BY trade_id) AS open_pnl,
           count(*) FILTER (WHERE pnl IS NULL) AS unmarked_open, min(entry_time) AS oldest_open
    FROM positions_at(%(days)s::date[], %(as_of)s::timestamptz[])
    GROUP BY GROUPING SETS ((day, bot_id), (day, bot_id, ticker))
),
gone AS (
    DELETE FROM open_positions AS o
    WHERE day BETWEEN %(first)s AND %(last)s
      AND NOT EXISTS (SELECT FROM found AS f WHERE (f.day, f.bot_id, f.ticker) = (o.day, o.bot_id, o.ticker))
)
INSERT INTO open_positions (day, bot_id, ticker, open_trades, open_pnl, unmarked_open, oldest_open)
SELECT day, bot_id, ticker, f.open_trades, f.open_pnl, f.unmarked_open, f.oldest_open
FROM found AS f
LEFT JOIN open_positions AS o USING (day, bot_id, ticker)
WHERE (f.open_trades, f.open_pnl, f.unmarked_open, f.oldest_open)
    IS DISTINCT FROM (o.open_trades, o.open_pnl, o.unmarked_open, o.oldest_open)
ORDER BY day, bot_id, ticker
ON CONFLICT (day, bot_id, ticker) DO UPDATE
SET open_trades = excluded.open_trades, open_pnl = excluded.open_pnl, unmarked_open = excluded.unmarked_open,
    oldest_open = excluded.oldest_open
