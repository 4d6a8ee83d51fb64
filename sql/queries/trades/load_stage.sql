-- The rows of one file on their way into trades, and what becomes of each. `is_repeat`: the trade is recorded just so.
CREATE TEMP TABLE incoming ON COMMIT DROP AS
SELECT NULL::bigint AS row_number, source_trade_id, bot_id, strategy_id, ticker, direction, status,
       entry_time, exit_time, entry_price, exit_price, mark_price, notional, fees, pnl, reported_pnl, quote_currency,
       signal_confidence, entry_quality, exit_reason,
       entry_trigger_price, entry_trigger_time, exit_trigger_price, exit_trigger_time,
       quantity, contract_multiplier, contract_type, funding, entry_fee, exit_fee, fee_currency, leverage, margin, exits,
       pnl_basis,
       NULL::text AS verdict, NULL::bigint AS other_row, NULL::bigint AS other_trade, NULL::text AS account_currency,
       NULL::boolean AS is_repeat
FROM trades WITH NO DATA;
ALTER TABLE incoming ALTER verdict SET DEFAULT 'insert', ALTER is_repeat SET DEFAULT false
