-- All closed trades of the bots and months (before $2) in which a trade was recorded by transaction $1 or later.
-- A month holds the exits from its first instant (excluded) to its last (included), as every window does.
WITH stale AS (
    SELECT DISTINCT bot_id, date_trunc('month', exit_time - interval '1 microsecond', 'UTC') AS month
    FROM trades
    WHERE status = 'closed' AND recorded_xid >= $1::text::xid8 AND exit_time <= $2
)
SELECT t.trade_id, t.bot_id, t.ticker, t.direction, t.entry_time, t.exit_time, t.pnl
FROM stale AS s
JOIN trades AS t ON t.bot_id = s.bot_id AND t.status = 'closed'
    AND t.exit_time > s.month AND t.exit_time <= s.month + interval '1 month'
