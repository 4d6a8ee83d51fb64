-- Closed trades with $1 < exit_time <= $2: who, when, what the signal had stated, and whether it won.
SELECT t.exit_time,
       coalesce(t.strategy_id, b.strategy_id, 'bot ' || t.bot_id) AS strategy_id, t.signal_confidence, t.pnl > 0 AS won
FROM trades AS t
JOIN bots AS b USING (bot_id)
WHERE t.status = 'closed' AND t.exit_time > $1 AND t.exit_time <= $2
ORDER BY t.exit_time, t.trade_id
