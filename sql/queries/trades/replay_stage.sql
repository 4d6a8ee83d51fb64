-- What an import had recorded of the trades that are recorded anew joins its held rows in `incoming`, before them, unless one of
-- them says so; and a bot without any trade accounts in what its first row says.
INSERT INTO incoming (
    row_number, source_trade_id, bot_id, strategy_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,
    mark_price, notional, fees, reported_pnl, quote_currency, signal_confidence, entry_quality, exit_reason,
    entry_trigger_price, entry_trigger_time, exit_trigger_price, exit_trigger_time, quantity, contract_multiplier,
    contract_type, funding, entry_fee, exit_fee, fee_currency, leverage, margin, exits, pnl_basis)
SELECT row_number() OVER (ORDER BY s.trade_id, s.progress), t.source_trade_id, t.bot_id, t.strategy_id, t.ticker, t.direction,
    t.status, t.entry_time, t.exit_time, t.entry_price, t.exit_price, t.mark_price, t.notional, t.fees, t.reported_pnl,
    t.quote_currency, t.signal_confidence, t.entry_quality, t.exit_reason, t.entry_trigger_price, t.entry_trigger_time,
    t.exit_trigger_price, t.exit_trigger_time, t.quantity, t.contract_multiplier, t.contract_type, t.funding, t.entry_fee,
    t.exit_fee, t.fee_currency, t.leverage, t.margin, t.exits, t.pnl_basis
FROM statements AS s CROSS JOIN LATERAL jsonb_populate_record(NULL::trades, s.content) AS t
WHERE s.import_id = %(import_id)s AND s.source = %(source)s
  AND NOT EXISTS (SELECT FROM incoming AS i
                  WHERE (i.source_trade_id, i.bot_id) = (t.source_trade_id, t.bot_id)
                    AND arriving_content(to_jsonb(i)) = s.content);
UPDATE bots AS b SET quote_currency = f.quote_currency
FROM (SELECT DISTINCT ON (bot_id) bot_id, quote_currency FROM incoming ORDER BY bot_id, row_number) AS f
WHERE f.bot_id = b.bot_id AND b.quote_currency <> f.quote_currency
  AND NOT EXISTS (SELECT FROM trades AS t WHERE t.bot_id = b.bot_id)
