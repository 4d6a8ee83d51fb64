-- Bots whose tickers do not sum to their row over all of them: counts exactly, amounts within the rounding of a sum.
WITH sums AS (
    SELECT day, bot_id,
           sum(trades) FILTER (WHERE ticker <> '*') AS trades_of_tickers,
           max(trades) FILTER (WHERE ticker = '*') AS trades_of_bot,
           sum(lifetime_trades) FILTER (WHERE ticker <> '*') AS lifetime_of_tickers,
           max(lifetime_trades) FILTER (WHERE ticker = '*') AS lifetime_of_bot,
           coalesce(sum(total_pnl) FILTER (WHERE ticker <> '*'), 0) AS pnl_of_tickers,
           coalesce(max(total_pnl) FILTER (WHERE ticker = '*'), 0) AS pnl_of_bot,
           coalesce(max(gross_profit + gross_loss) FILTER (WHERE ticker = '*'), 0) AS turnover
    FROM bot_metrics
    WHERE day BETWEEN %(first)s AND %(last)s
    GROUP BY day, bot_id
)
SELECT day, bot_id, trades_of_tickers, trades_of_bot, pnl_of_tickers, pnl_of_bot
FROM sums
WHERE (trades_of_tickers, lifetime_of_tickers) IS DISTINCT FROM (trades_of_bot::numeric, lifetime_of_bot::numeric)
   OR abs(pnl_of_tickers - pnl_of_bot) > 1e-9 * turnover
ORDER BY day, bot_id
