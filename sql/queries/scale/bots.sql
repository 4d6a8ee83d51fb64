-- Every bot, its closed trades with $1 <= exit_time < $2, and about how many tickers they have: 1, or 3 for several, as to count
-- them would take longer than to read the trades.
SELECT b.bot_id, t.trades, t.tickers
FROM bots AS b
CROSS JOIN LATERAL (
    SELECT count(*) AS trades, CASE WHEN min(ticker) < max(ticker) THEN 3 ELSE 1 END AS tickers
    FROM closed_trades
    WHERE bot_id = b.bot_id AND exit_time >= $1 AND exit_time < $2
) AS t
ORDER BY b.bot_id
