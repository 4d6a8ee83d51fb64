-- Closed trades with $1 <= exit_time < $2, as the metrics engine reads them.
SELECT trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl, slippage, fees
FROM closed_trades
WHERE exit_time >= $1 AND exit_time < $2
