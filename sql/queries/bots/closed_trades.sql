-- What a bot's trades gained that closed before an instant, in the order of the house.
SELECT exit_time, pnl
FROM closed_trades
WHERE bot_id = $1 AND exit_time < $2::timestamptz
ORDER BY exit_time, entry_time, trade_id
