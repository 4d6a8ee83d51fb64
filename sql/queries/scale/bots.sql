-- Every bot, its closed trades with an exit_time in its slice of the time from $1 on, and about how many tickers they have: 1, or
-- 3 for several, as to count them would take longer than to read the trades. Slices last $2, and are $3 in number: the following
-- bot has the following one.
SELECT b.bot_id, t.trades, t.tickers
FROM bots AS b
CROSS JOIN abs(b.bot_id % $3) AS slice
CROSS JOIN LATERAL (
    SELECT count(*) AS trades, CASE WHEN min(ticker) < max(ticker) THEN 3 ELSE 1 END AS tickers
    FROM closed_trades
    WHERE bot_id = b.bot_id
      AND exit_time >= $1 + slice * $2 AND exit_time < $1 + (slice + 1) * $2
) AS t
ORDER BY b.bot_id
