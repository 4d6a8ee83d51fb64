-- Trades that were open at some instant from $1 to $2, or closed between them: what their value at an instant rests on.
SELECT trade_id, bot_id, ticker, direction = 'LONG' AS long, contract_type = 'inverse' AS inverse, entry_time, exit_time,
       notional, quantity, contract_multiplier, entry_price, coalesce(entry_fee, 0) AS entry_fee, pnl
FROM trades
WHERE entry_time < $2::timestamptz AND (exit_time IS NULL OR exit_time >= $1::timestamptz)
ORDER BY trade_id
