-- Amounts that can be computed with. A finite number may still be one whose sum, square or quotient is none, and the database
-- then refuses to compute it for all bots: the slippage of a price of 1e10 against one of 1e-300, the mean of a pnl of 5e-324.
--
-- Prices and sizes reach from 1e-18 to 1e15, other money (fees, pnl) is 0 or from 1e-100 to 1e15 in size. No market comes near:
-- tokens divide into 18 decimals; the cheapest ones cost 1e-9 dollars or 1e-14 bitcoin, and 1e15 dong or rupiah are tens of
-- billions of dollars. A pnl of 1e-17 is what rounding leaves of 0, and stays. The square of every bound is far within the
-- numbers of double precision, as is its sum over as many trades as there may be. The same as knowdefeat_pipeline/core/amounts.py.

-- What the simulated fleet left in quarantine goes with it, as its trades do.
ALTER TABLE trade_quarantine ADD COLUMN simulated boolean NOT NULL DEFAULT false;
CREATE INDEX trade_quarantine_simulated ON trade_quarantine (quarantine_id) WHERE simulated;

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
INSERT INTO trade_quarantine (source, file_name, row_number, reason, column_name, message, original, layout, simulated)
SELECT t.source, 'trades', t.trade_id, 'poison', p.name,
       format('%s %L is, or gives a net pnl, beyond what can be computed with: prices and sizes reach from 1e-18 to below '
              '1e+15, other money is 0 or from 1e-100 to below 1e+15 in size; correct it.',
              p.name, cells.original ->> p.name),
       cells.original,
       jsonb_build_object('format', 'table', 'columns', cells.names, 'timezone', 'UTC', 'currency', t.quote_currency,
                          'confidence_scale', 1),
       t.simulated
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

-- A bot whose capital is such a number gets the one that bots have of which nobody said any, and its history says so. The days
-- on which its trades counted become stale by the change.
ALTER TABLE bot_events DROP CONSTRAINT bot_events_kind_check;
ALTER TABLE bot_events ADD CONSTRAINT bot_events_kind_check
    CHECK (kind IN ('activated', 'deactivated', 'halted', 'released', 'resumed', 'corrected'));
INSERT INTO bot_events (bot_id, kind, author, reason)
    SELECT bot_id, 'corrected', 'upgrade',
           format('its capital was %s, which cannot be computed with, and is 10000 now, as where nobody said any', capital)
    FROM bots WHERE capital < 1e-18 OR capital >= 1e15;
UPDATE bots SET capital = DEFAULT WHERE capital < 1e-18 OR capital >= 1e15;
ALTER TABLE bots ADD CONSTRAINT bots_possible_capital CHECK (capital >= 1e-18 AND capital < 1e15);

-- Market data that would stop the market's assets for all tickers: bars of a year or a timeframe that nobody can tell, volumes
-- and sizes whose sums are no numbers. (Prices only tell of their own series; old ones are no fault.)
CREATE TEMP TABLE poison_bars ON COMMIT DROP AS
SELECT b.ctid AS place, wrong.*
FROM price_bars AS b
CROSS JOIN LATERAL (
    SELECT * FROM (VALUES
        ('timeframe', 'bad_timeframe', b.timeframe !~ '^[1-9][0-9]{0,4}[mhdw]$',
         format('timeframe %L is not a timeframe; write a number and m, h, d or w, such as 15m or 1h.', b.timeframe)),
        ('open_time', 'future_time', b.open_time >= '9999-01-01Z',
         format('open_time %L lies in the future; check the clock and the time zone.', b.open_time)),
        ('volume', 'poison', b.volume >= 1e30,
         format('volume %L is beyond what can be computed with: volumes and sizes stay below 1e+30; correct it.', b.volume))
    ) AS rule (name, reason, broken, message)
    WHERE broken LIMIT 1
) AS wrong;
CREATE TEMP TABLE poison_levels ON COMMIT DROP AS
SELECT l.ctid AS place, 'size' AS name, 'poison' AS reason,
       format('size %L is beyond what can be computed with: volumes and sizes stay below 1e+30; correct it.', l.size) AS message
FROM order_book_levels AS l WHERE l.size >= 1e30;
INSERT INTO trade_quarantine (source, file_name, row_number, reason, column_name, message, original, layout)
SELECT form, form, row_number() OVER (PARTITION BY form ORDER BY original::text), reason, name, message, original,
       jsonb_build_object('format', form, 'columns', (SELECT jsonb_object_agg(key, key) FROM jsonb_object_keys(original) AS key),
                          'constants', '{}'::jsonb, 'timezone', 'UTC')
FROM (
    SELECT 'bars' AS form, p.name, p.reason, p.message,
           jsonb_strip_nulls(jsonb_build_object(
               'ticker', b.ticker, 'timeframe', b.timeframe, 'open_time', to_jsonb(b.open_time) #>> '{}', 'open', b.open::text,
               'high', b.high::text, 'low', b.low::text, 'close', b.close::text, 'volume', b.volume::text)) AS original
    FROM poison_bars AS p JOIN price_bars AS b ON b.ctid = p.place
    UNION ALL
    SELECT 'order books', p.name, p.reason, p.message,
           jsonb_build_object('ticker', l.ticker, 'observed_at', to_jsonb(l.observed_at) #>> '{}', 'side', l.side,
                              'price', l.price::text, 'size', l.size::text)
    FROM poison_levels AS p JOIN order_book_levels AS l ON l.ctid = p.place
) AS held
ON CONFLICT DO NOTHING;
-- Rows that go touch no day: the days from the first of them on are computed anew.
DELETE FROM settled_changes
WHERE family = 'market' AND (EXISTS (SELECT FROM poison_bars) OR EXISTS (SELECT FROM poison_levels));
DELETE FROM refreshed_days
WHERE asset IN ('market_regimes', 'trade_scores') AND day >= least(
    (SELECT min(day_of(b.open_time)) FROM price_bars AS b JOIN poison_bars AS p ON b.ctid = p.place),
    (SELECT min(day_of(l.observed_at)) FROM order_book_levels AS l JOIN poison_levels AS p ON l.ctid = p.place));
DELETE FROM market_regimes AS r USING price_bars AS b, poison_bars AS p
WHERE b.ctid = p.place AND (r.ticker, r.timeframe, r.open_time) = (b.ticker, b.timeframe, b.open_time);
DELETE FROM price_bars AS b USING poison_bars AS p WHERE b.ctid = p.place;
DELETE FROM order_book_levels AS l USING poison_levels AS p WHERE l.ctid = p.place;
ALTER TABLE price_bars ADD CONSTRAINT price_bars_possible CHECK (
    timeframe ~ '^[1-9][0-9]{0,4}[mhdw]$' AND open_time < '9999-01-01Z' AND (volume IS NULL OR volume < 1e30));
ALTER TABLE order_book_levels ADD CONSTRAINT order_book_levels_possible CHECK (size < 1e30);
