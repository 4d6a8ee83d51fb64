-- Closed trades with $1 < exit_time <= $2, as the metrics engine reads them.
SELECT trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl,
       -- Against the trade: a long position that exits below its trigger price paid.
       10000 * (CASE direction WHEN 'LONG' THEN -1 ELSE 1 END)
           * (exit_price - exit_trigger_price) / exit_trigger_price AS slippage
FROM trades
WHERE status = 'closed' AND exit_time > $1 AND exit_time <= $2
