-- Closed trades as outcomes of strategies from %(since)s on, the latest first; of one strategy, or of all.
SELECT c.exit_time, c.strategy_id, c.ticker, c.direction, 100 * c.pnl / c.notional AS pnl_percent, c.pnl, t.quote_currency,
       c.signal_confidence, t.exit_reason, c.trade_id
FROM closed_trades AS c
JOIN trades AS t USING (trade_id)
WHERE c.exit_time >= %(since)s AND (%(strategy)s::text IS NULL OR c.strategy_id = %(strategy)s)
ORDER BY c.exit_time DESC, c.trade_id DESC
LIMIT %(limit)s OFFSET %(offset)s
