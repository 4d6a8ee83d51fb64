-- Closed trades of the bots $1 to $2 with $3 <= exit_time < $4 that the snapshot $5 shows, as the metrics engine reads them: bot
-- by bot, from the index trades_of_bot alone, however long the bots' histories are.
SELECT t.trade_id, t.bot_id, t.ticker, t.direction, t.entry_time, t.exit_time, t.pnl, t.slippage, t.fees
FROM bots AS b
CROSS JOIN LATERAL (
    SELECT trade_id, bot_id, ticker, direction, entry_time, exit_time, pnl, slippage, fees
    FROM closed_trades
    WHERE bot_id = b.bot_id AND exit_time >= $3 AND exit_time < $4
      AND pg_visible_in_snapshot(recorded_xid, $5::pg_snapshot)
    OFFSET 0
) AS t
WHERE b.bot_id BETWEEN $1 AND $2
