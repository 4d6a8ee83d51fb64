-- Closed trades that are recorded just so: most of a file that is loaded again, so told apart before the closer look.
UPDATE incoming i SET verdict = 'unchanged'
FROM trades t
WHERE i.verdict = 'insert' AND i.status = 'closed'
  AND t.source = %(source)s AND t.source_trade_id = i.source_trade_id
  AND (t.status, t.bot_id, t.ticker, t.direction, t.entry_time, t.entry_price, t.strategy_id, t.exit_time, t.exit_price,
       t.mark_price, t.notional, t.fees, t.reported_pnl, t.quote_currency, t.signal_confidence, t.entry_quality,
       t.exit_reason, t.entry_trigger_price, t.entry_trigger_time, t.exit_trigger_price, t.exit_trigger_time)
      IS NOT DISTINCT FROM
      (i.status, i.bot_id, i.ticker, i.direction, i.entry_time, i.entry_price, i.strategy_id, i.exit_time, i.exit_price,
       i.mark_price, i.notional, i.fees, i.reported_pnl, i.quote_currency, i.signal_confidence, i.entry_quality,
       i.exit_reason, i.entry_trigger_price, i.entry_trigger_time, i.exit_trigger_price, i.exit_trigger_time)
