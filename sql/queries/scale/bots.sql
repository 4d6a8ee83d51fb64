-- Every bot, its closed trades with $1 <= exit_time < $2, and the number of tickers among them.
SELECT b.bot_id, t.trades, t.tickers
FROM bots AS b
CROSS JOIN LATERAL (
    SELECT count(*) AS trades, count(DISTINCT ticker) AS tickers
    FROM closed_trades
    WHERE bot_id = b.bot_id AND exit_time >= $1 AND exit_time < $2
) AS t
ORDER BY b.bot_id
