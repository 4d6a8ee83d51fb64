-- New trades, in the order of the file; those that come back under their id are written from `contents`.
INSERT INTO trades (
    source, simulated, import_id, source_trade_id, bot_id, strategy_id, ticker, direction, status, entry_time, exit_time,
    entry_price, exit_price, mark_price, notional, fees, pnl, reported_pnl, quote_currency, signal_confidence, entry_quality,
    exit_reason, entry_trigger_price, entry_trigger_time, exit_trigger_price, exit_trigger_time,
    quantity, contract_multiplier, contract_type, funding, entry_fee, exit_fee, fee_currency, leverage, margin, exits,
    pnl_basis)
SELECT %(source)s, %(simulated)s, %(import_id)s, source_trade_id, bot_id, strategy_id, ticker, direction, status, entry_time,
    exit_time, entry_price, exit_price, mark_price, notional, fees, pnl, reported_pnl, quote_currency, signal_confidence,
    entry_quality, exit_reason, entry_trigger_price, entry_trigger_time, exit_trigger_price, exit_trigger_time,
    quantity, contract_multiplier, contract_type, funding, entry_fee, exit_fee, fee_currency, leverage, margin, exits,
    pnl_basis
FROM incoming
WHERE verdict = 'insert' AND other_trade IS NULL
ORDER BY row_number
