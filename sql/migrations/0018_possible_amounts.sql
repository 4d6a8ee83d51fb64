-- Amounts that can be computed with. A finite number may still be one whose sum, square or quotient is none, and the database
-- then refuses to compute it for all bots: the slippage of a price of 1e10 against one of 1e-300, the mean of a pnl of 5e-324.
--
-- Prices and sizes reach from 1e-18 to 1e15, other money (fees, pnl) is 0 or from 1e-100 to 1e15 in size. No market comes near:
-- tokens divide into 18 decimals; the cheapest ones cost 1e-9 dollars or 1e-14 bitcoin, and 1e15 dong or rupiah are tens of
-- billions of dollars. A pnl of 1e-17 is what rounding leaves of 0, and stays. The square of every bound is far within the
-- numbers of double precision, as is its sum over as many trades as there may be. The same as knowdefeat_pipeline/core/amounts.py.
CREATE TEMP TABLE poison ON COMMIT DROP AS
SELECT t.trade_id, wrong.name
FROM trades AS t
CROSS JOIN LATERAL (
    SELECT amount.name
    FROM (VALUES
        (1, 'entry_price', t.entry_price, 1e-18::float8), (2, 'exit_price', t.exit_price, 1e-18),
        (3, 'mark_price', t.mark_price, 1e-18), (4, 'notional', t.notional, 1e-18), (5, 'fees', t.fees, 1e-100),
        (6, 'reported_pnl', t.reported_pnl, 1e-100), (7, 'entry_trigger_price', t.entry_trigger_price, 1e-18),
        (8, 'exit_trigger_price', t.exit_trigger_price, 1e-18),
        -- The pnl follows from the size, whose column is named.
        (9, 'notional', t.pnl, 1e-100)
    ) AS amount (place, name, value, at_least)
    WHERE amount.value <> 0 AND (abs(amount.value) < amount.at_least OR abs(amount.value) >= 1e15)
    ORDER BY amount.place LIMIT 1
) AS wrong;
INSERT INTO trade_quarantine (source, file_name, row_number, reason, column_name, message, original, layout)
SELECT t.source, 'trades', t.trade_id, 'poison', p.name,
       format('%s %L is, or gives a net pnl, beyond what can be computed with: prices and sizes reach from 1e-18 to below '
              '1e+15, other money is 0 or from 1e-100 to below 1e+15 in size; correct it.',
              p.name, cells.original ->> p.name),
       cells.original,
       jsonb_build_object('format', 'table', 'columns', cells.names, 'timezone', 'UTC', 'currency', t.quote_currency,
                          'confidence_scale', 1)
FROM poison AS p
JOIN trades AS t USING (trade_id)
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, value) AS original, jsonb_object_agg(key, key) AS names
    -- As the database itself writes a number: jsonb spells out all the zeros of 1e300.
    FROM (
        SELECT key, CASE key
                   WHEN 'entry_price' THEN t.entry_price::text WHEN 'exit_price' THEN t.exit_price::text
                   WHEN 'mark_price' THEN t.mark_price::text WHEN 'notional' THEN t.notional::text
                   WHEN 'fees' THEN t.fees::text WHEN 'reported_pnl' THEN t.reported_pnl::text
                   WHEN 'entry_trigger_price' THEN t.entry_trigger_price::text
                   WHEN 'exit_trigger_price' THEN t.exit_trigger_price::text
                   ELSE value END AS value
        FROM jsonb_each_text(to_jsonb(t))
    ) AS cell
    WHERE value IS NOT NULL AND key NOT IN ('trade_id', 'pnl', 'recorded_at', 'recorded_xid', 'simulated', 'source')
) AS cells
ON CONFLICT DO NOTHING;
DELETE FROM trades USING poison WHERE trades.trade_id = poison.trade_id;

-- Without a function, as in migration 0014. NULL is possible: least and greatest pass it over.
ALTER TABLE trades ADD CONSTRAINT trades_possible_amounts CHECK (
    least(entry_price, exit_price, mark_price, notional, entry_trigger_price, exit_trigger_price) >= 1e-18
    AND greatest(entry_price, exit_price, mark_price, notional, entry_trigger_price, exit_trigger_price, abs(fees), abs(pnl),
                 abs(reported_pnl)) < 1e15
    AND (fees = 0 OR abs(fees) >= 1e-100) AND (pnl = 0 OR abs(pnl) >= 1e-100)
    AND (reported_pnl = 0 OR abs(reported_pnl) >= 1e-100)
);
-- A bot stays whatever its capital was: NOT VALID. Its figures are computed with the nearest possible one.
ALTER TABLE bots ADD CONSTRAINT bots_possible_capital CHECK (capital >= 1e-18 AND capital < 1e15) NOT VALID;
CREATE FUNCTION possible_capital(capital double precision) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN least(greatest(capital, 1e-18), 1e15);
