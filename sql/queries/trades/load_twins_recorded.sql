-- Rows about to be written (%(verdict)s) that repeat a trade recorded under another id, unless that trade is about to
-- move on to another state.
UPDATE incoming i SET verdict = 'duplicate_trade', other_row = NULL, other_trade = t.trade_id
FROM trades t
WHERE i.verdict = %(verdict)s
  AND t.bot_id = i.bot_id AND t.entry_time = i.entry_time AND t.ticker = i.ticker AND t.direction = i.direction
  AND t.entry_price = i.entry_price
  AND coalesce(t.exit_time, 'infinity') = coalesce(i.exit_time, 'infinity')
  AND coalesce(t.exit_price, 'infinity') = coalesce(i.exit_price, 'infinity')
  AND (t.source, t.source_trade_id) <> (%(source)s, i.source_trade_id)
  AND t.trade_id NOT IN (SELECT other_trade FROM incoming WHERE verdict = 'update')
