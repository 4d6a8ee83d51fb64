-- Closed trades that are recorded just so: most of a file that is loaded again, so told apart before the closer look.
-- Terms that were not recorded, as before there was a column for them, contradict nothing.
UPDATE incoming i SET verdict = 'unchanged', other_trade = t.trade_id, is_repeat = true
FROM trades t
WHERE i.verdict = 'insert' AND i.status = 'closed'
  AND t.source = %(source)s AND t.source_trade_id = i.source_trade_id AND t.bot_id = i.bot_id
  AND (t.status, t.ticker, t.direction, t.entry_time, t.entry_price, t.strategy_id, t.exit_time, t.exit_price,
       t.mark_price, t.notional, t.fees, t.reported_pnl, t.quote_currency, t.signal_confidence, t.entry_quality,
       t.exit_reason, t.entry_trigger_price, t.entry_trigger_time, t.exit_trigger_price, t.exit_trigger_time,
       coalesce(t.quantity, i.quantity), t.contract_multiplier, t.contract_type, t.funding, coalesce(t.entry_fee, i.entry_fee),
       coalesce(t.exit_fee, i.exit_fee), coalesce(t.fee_currency, i.fee_currency), coalesce(t.leverage, i.leverage),
       coalesce(t.margin, i.margin), t.exits, t.pnl_basis)
      IS NOT DISTINCT FROM
      (i.status, i.ticker, i.direction, i.entry_time, i.entry_price, i.strategy_id, i.exit_time, i.exit_price,
       i.mark_price, i.notional, i.fees, i.reported_pnl, i.quote_currency, i.signal_confidence, i.entry_quality,
       i.exit_reason, i.entry_trigger_price, i.entry_trigger_time, i.exit_trigger_price, i.exit_trigger_time,
       i.quantity, i.contract_multiplier, i.contract_type, i.funding, i.entry_fee, i.exit_fee, i.fee_currency,
       i.leverage, i.margin, i.exits, i.pnl_basis)
