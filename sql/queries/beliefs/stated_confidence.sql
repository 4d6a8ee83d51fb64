-- Closed trades with $1 <= exit_time < $2: who, when, what the signal had stated, and whether it won.
SELECT exit_time, strategy_id, signal_confidence, is_win AS won
FROM closed_trades
WHERE exit_time >= $1 AND exit_time < $2
ORDER BY exit_time, trade_id
