-- All closed trades of the bots and months (before $2) in which a trade was recorded by transaction $1 or later.
WITH stale AS (
    SELECT DISTINCT bot_id, date_trunc('month', exit_time, 'UTC') AS month
    FROM closed_trades
    WHERE recorded_xid >= $1::text::xid8 AND exit_time < $2
)
SELECT t.trade_id, t.bot_id, t.ticker, t.direction, t.entry_time, t.exit_time, t.pnl
FROM stale AS s
JOIN closed_trades AS t ON t.bot_id = s.bot_id AND t.exit_time >= s.month AND t.exit_time < s.month + interval '1 month'
