-- Trades under the terms of files, in the order in which they were recorded, so that equal times keep it. $1, $2: UTC days
-- of the exit, of an open one of the entry; $3: the key of a bot; each may be NULL. fee_rate: fees in another currency are
-- kept converted. strategy_id: that which the trade counts for, where others of its bot name one, which would else be its.
WITH named AS MATERIALIZED (SELECT DISTINCT bot_id FROM trades WHERE strategy_id IS NOT NULL)
SELECT t.source, t.source_trade_id, b.name AS bot_id,
       coalesce(t.strategy_id, b.strategy_id, CASE WHEN n.bot_id IS NOT NULL THEN s.strategy_id END) AS strategy_id,
       t.ticker, t.direction, t.status, t.entry_time, t.exit_time, t.entry_price, t.exit_price, t.mark_price, t.notional, t.quantity,
       t.margin, t.leverage, t.contract_multiplier, t.contract_type, t.exits, t.entry_fee, t.exit_fee, t.fees,
       t.fee_currency, CASE WHEN t.fee_currency IS NOT NULL THEN 1::float8 END AS fee_rate, t.funding, t.reported_pnl,
       t.pnl_basis, t.quote_currency, t.signal_confidence, t.entry_quality, t.exit_reason, t.entry_trigger_price,
       t.entry_trigger_time, t.exit_trigger_price, t.exit_trigger_time, b.capital, t.pnl
FROM trades AS t
JOIN bots AS b USING (bot_id)
JOIN bot_strategies AS s USING (bot_id)
LEFT JOIN named AS n USING (bot_id)
WHERE ($1::date IS NULL OR coalesce(t.exit_time, t.entry_time) >= day_start($1::date))
  AND ($2::date IS NULL OR coalesce(t.exit_time, t.entry_time) < day_end($2::date))
  AND ($3::int IS NULL OR t.bot_id = $3::int)
ORDER BY t.trade_id
