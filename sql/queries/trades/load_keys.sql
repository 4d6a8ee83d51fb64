-- Rows whose id is recorded already, or appears more than once in the file. Of the states of one trade the furthest
-- leads; earlier states of it change nothing. The first state seen (recorded, else the lowest row) says which trade
-- the id names: a row about another trade, and a closed row that differs from a closed one, is in conflict.
WITH contested AS (
    SELECT source_trade_id FROM incoming WHERE verdict = 'insert' GROUP BY source_trade_id HAVING count(*) > 1
    UNION
    SELECT source_trade_id FROM incoming i JOIN trades t USING (source_trade_id)
    WHERE t.source = %(source)s AND i.verdict = 'insert'
),
states AS (
    SELECT i.source_trade_id, i.row_number, NULL::bigint AS trade_id,
           array_position(ARRAY['open', 'pending_exit', 'closed'], i.status) AS progress,
           ROW(i.bot_id, i.ticker, i.direction, i.entry_time, i.entry_price) AS entered,
           ROW(i.status, i.strategy_id, i.exit_time, i.exit_price, i.mark_price, i.notional, i.fees, i.reported_pnl,
               i.quote_currency, i.signal_confidence, i.entry_quality, i.exit_reason, i.entry_trigger_price,
               i.entry_trigger_time, i.exit_trigger_price, i.exit_trigger_time,
               i.quantity, i.contract_multiplier, i.contract_type, i.funding, i.entry_fee, i.exit_fee, i.fee_currency,
               i.leverage, i.margin, i.exits, i.pnl_basis) AS content
    FROM incoming i JOIN contested USING (source_trade_id)
    WHERE i.verdict = 'insert'
    UNION ALL
    SELECT t.source_trade_id, 0, t.trade_id,
           array_position(ARRAY['open', 'pending_exit', 'closed'], t.status),
           ROW(t.bot_id, t.ticker, t.direction, t.entry_time, t.entry_price),
           ROW(t.status, t.strategy_id, t.exit_time, t.exit_price, t.mark_price, t.notional, t.fees, t.reported_pnl,
               t.quote_currency, t.signal_confidence, t.entry_quality, t.exit_reason, t.entry_trigger_price,
               t.entry_trigger_time, t.exit_trigger_price, t.exit_trigger_time,
               t.quantity, t.contract_multiplier, t.contract_type, t.funding, t.entry_fee, t.exit_fee, t.fee_currency,
               t.leverage, t.margin, t.exits, t.pnl_basis)
    FROM trades t JOIN contested USING (source_trade_id)
    WHERE t.source = %(source)s
),
placed AS (
    SELECT *, first_value(row_number) OVER seen AS first_row, first_value(trade_id) OVER seen AS recorded,
           first_value(content) OVER seen AS first_content, entered <> first_value(entered) OVER seen AS another
    FROM states
    WINDOW seen AS (PARTITION BY source_trade_id ORDER BY row_number)
),
led AS (
    SELECT *, first_value(row_number) OVER furthest AS leader, first_value(content) OVER furthest AS leading_content
    FROM placed
    -- Of several closed states the first one holds, of several open ones the last.
    WINDOW furthest AS (PARTITION BY source_trade_id
        ORDER BY another, progress DESC, CASE WHEN progress = 3 THEN row_number ELSE -row_number END)
),
judged AS (
    SELECT row_number, recorded, CASE WHEN another THEN first_row ELSE leader END AS other_row,
           CASE WHEN another THEN 'conflicting_trade'
                WHEN row_number = leader AND recorded IS NULL THEN 'insert'
                WHEN row_number = leader AND content IS DISTINCT FROM first_content THEN 'update'
                WHEN row_number <> leader AND progress = 3 AND content IS DISTINCT FROM leading_content
                    THEN 'conflicting_trade'
                ELSE 'unchanged' END AS verdict
    FROM led
    WHERE row_number > 0
)
UPDATE incoming i
SET verdict = j.verdict, other_row = nullif(j.other_row, 0), other_trade = j.recorded
FROM judged j
WHERE j.row_number = i.row_number AND j.verdict <> 'insert'
