-- The narrow read for streaks: closed trades with $1 < exit_time <= $2.
SELECT trade_id, bot_id, entry_time, exit_time, pnl
FROM trades
WHERE status = 'closed' AND exit_time > $1 AND exit_time <= $2
