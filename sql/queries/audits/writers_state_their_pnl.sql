-- Trades that bots wrote themselves and that state another net pnl than prices, size and costs give.
SELECT day_of(t.exit_time) AS day, t.trade_id, t.source, t.source_trade_id, t.bot_id, t.reported_pnl, t.pnl
FROM trades AS t
WHERE t.status = 'closed' AND t.import_id IS NULL AND t.exit_time >= day_start(%(first)s) AND t.exit_time < day_end(%(last)s)
  AND NOT pnl_agrees(t.pnl, t.reported_pnl, 0.005)
ORDER BY t.exit_time, t.trade_id
