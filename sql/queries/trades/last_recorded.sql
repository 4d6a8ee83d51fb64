-- The trades that were recorded or moved on last, whoever wrote them.
SELECT t.trade_id, t.recorded_at, t.source, t.source_trade_id, t.import_id, b.name AS bot, t.ticker, t.direction, t.status,
       t.pnl, t.quote_currency
FROM trades AS t JOIN bots AS b USING (bot_id)
ORDER BY t.recorded_xid DESC, t.exit_time DESC
LIMIT %(limit)s
