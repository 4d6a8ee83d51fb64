-- Closed trades, the latest first, and those that come after the place (%(exit_time)s, %(trade_id)s) in that order; of a bot,
-- or of all. A time that nobody knows is null.
SELECT t.trade_id, t.source, t.source_trade_id, t.bot_id, b.name AS bot, t.ticker, t.direction, t.status,
       nullif(t.entry_time, '-infinity') AS entry_time, t.exit_time, t.entry_price, t.exit_price, t.notional, t.fees, t.funding,
       t.pnl, t.quote_currency, t.exit_reason
FROM trades AS t
JOIN bots AS b USING (bot_id)
WHERE t.status = 'closed' AND isfinite(t.exit_time) AND (%(bot)s::integer IS NULL OR t.bot_id = %(bot)s)
  AND (%(exit_time)s::timestamptz IS NULL OR (t.exit_time, t.trade_id) < (%(exit_time)s, %(trade_id)s::bigint))
  AND (%(day)s::date IS NULL OR (t.exit_time >= day_start(%(day)s) AND t.exit_time < day_end(%(day)s)))
ORDER BY t.exit_time DESC, t.trade_id DESC
LIMIT %(limit)s
