-- Trades that moved on: open, pending_exit, closed; or that are open and were added to. They are the import's now.
UPDATE trades t
SET (strategy_id, status, entry_price, exit_time, exit_price, mark_price, notional, fees, pnl, reported_pnl, signal_confidence,
     entry_quality, exit_reason, entry_trigger_price, entry_trigger_time, exit_trigger_price, exit_trigger_time,
     quantity, contract_multiplier, contract_type, funding, entry_fee, exit_fee, fee_currency, leverage, margin, exits,
     pnl_basis, import_id)
  = (i.strategy_id, i.status, i.entry_price, i.exit_time, i.exit_price, i.mark_price, i.notional, i.fees, i.pnl, i.reported_pnl,
     i.signal_confidence, i.entry_quality, i.exit_reason, i.entry_trigger_price, i.entry_trigger_time,
     i.exit_trigger_price, i.exit_trigger_time,
     i.quantity, i.contract_multiplier, i.contract_type, i.funding, i.entry_fee, i.exit_fee, i.fee_currency,
     i.leverage, i.margin, i.exits, i.pnl_basis, %(import_id)s)
FROM incoming i
WHERE i.verdict = 'update' AND t.trade_id = i.other_trade
