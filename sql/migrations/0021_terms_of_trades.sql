-- A trade as it is: its size in units, the kind of contract, funding, the fees of both its ends, and how its net pnl is known.

ALTER TABLE trades
    ADD COLUMN quantity            double precision,
    ADD COLUMN contract_multiplier double precision NOT NULL DEFAULT 1,
    ADD COLUMN contract_type       text NOT NULL DEFAULT 'linear' CHECK (contract_type IN ('linear', 'inverse')),
    -- Received is positive.
    ADD COLUMN funding             double precision NOT NULL DEFAULT 0,
    ADD COLUMN entry_fee           double precision,
    ADD COLUMN exit_fee            double precision,
    -- What the fees were paid in, where that is another currency; they are converted.
    ADD COLUMN fee_currency        text CHECK (
        char_length(fee_currency) BETWEEN 1 AND 200  -- a plain name, without a function, as trades_plain_text
        AND fee_currency !~ '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]'),
    ADD COLUMN leverage            double precision,
    ADD COLUMN margin              double precision,
    ADD COLUMN exits               integer NOT NULL DEFAULT 1 CHECK (exits >= 1),
    ADD COLUMN pnl_basis           text NOT NULL DEFAULT 'computed' CHECK (pnl_basis IN ('computed', 'stated'));

-- Net pnl of a closed trade in the currency that it settles in; NULL where an input is. The same as
-- knowdefeat_pipeline/core/trades/net_pnl.py, to the bit.
CREATE FUNCTION net_pnl(
    pnl_basis text, contract_type text, direction text, notional double precision, quantity double precision,
    contract_multiplier double precision, entry_price double precision, exit_price double precision,
    fees double precision, funding double precision, reported_pnl double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN pnl_basis = 'stated' THEN reported_pnl
         WHEN contract_type = 'inverse' THEN
             quantity * contract_multiplier * (CASE direction WHEN 'LONG' THEN 1 ELSE -1 END)
                 * (1 / nullif(entry_price, 0) - 1 / nullif(exit_price, 0)) - fees + funding
         ELSE notional * (CASE direction WHEN 'LONG' THEN 1 ELSE -1 END) * (exit_price - entry_price)
                  / nullif(entry_price, 0) - fees + funding END;

-- What was taken at its word until now, because there was no size, says so. No result changes by it.
ALTER TABLE trades DISABLE TRIGGER trades_protect, DISABLE TRIGGER trades_admit_update, DISABLE TRIGGER trades_recorded_here;
UPDATE trades SET pnl_basis = 'stated' WHERE status = 'closed' AND notional IS NULL;
ALTER TABLE trades ENABLE TRIGGER trades_protect, ENABLE TRIGGER trades_admit_update,
    ENABLE ALWAYS TRIGGER trades_recorded_here;

DROP TRIGGER trades_compute_pnl ON trades;
ALTER TABLE trades
    DROP CONSTRAINT trades_pnl_agrees,
    DROP CONSTRAINT trades_size_or_pnl,
    ADD CONSTRAINT trades_pnl_agrees CHECK (status <> 'closed' OR pnl IS NOT DISTINCT FROM net_pnl(
        pnl_basis, contract_type, direction, notional, quantity, contract_multiplier, entry_price, exit_price, fees,
        funding, reported_pnl)),
    ADD CONSTRAINT trades_size_or_pnl CHECK (status <> 'closed' OR pnl IS NOT NULL),
    ADD CONSTRAINT trades_fees_add_up CHECK (fees = coalesce(entry_fee + exit_fee, entry_fee, exit_fee, fees)),
    -- As trades_possible_amounts; of the cheapest tokens there are more units than there is money. As in core/amounts.py.
    ADD CONSTRAINT trades_possible_terms CHECK (
        least(quantity, contract_multiplier, leverage, margin) >= 1e-18
        AND greatest(quantity, contract_multiplier, leverage) < 1e30
        AND greatest(margin, abs(funding), abs(entry_fee), abs(exit_fee)) < 1e15
        AND (funding = 0 OR abs(funding) >= 1e-100)
        AND (entry_fee = 0 OR abs(entry_fee) >= 1e-100) AND (exit_fee = 0 OR abs(exit_fee) >= 1e-100));

-- What the database completes: fees from those of both ends, size from units (of an inverse contract the other way too), and
-- the net pnl. A writer's own figure of it moves to reported_pnl; without a size it is taken at its word.
CREATE OR REPLACE FUNCTION trades_compute_pnl() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ends     double precision := coalesce(NEW.entry_fee + NEW.exit_fee, NEW.entry_fee, NEW.exit_fee);
    -- At an insert OLD is null.
    old_ends double precision := coalesce(OLD.entry_fee + OLD.exit_fee, OLD.entry_fee, OLD.exit_fee, 0);
BEGIN
    IF ends <> NEW.fees THEN
        -- The writer gave no sum, or the same but for rounding.
        IF NOT (NEW.fees = coalesce(OLD.fees, 0) AND NEW.fees = old_ends) AND abs(ends - NEW.fees) > 1e-9 * abs(ends) THEN
            RAISE EXCEPTION 'trade (%, %): fees % are not the sum of entry_fee and exit_fee, %',
                NEW.source, NEW.source_trade_id, NEW.fees, ends
                USING ERRCODE = 'check_violation', HINT = 'Write the fees of both ends, or their sum alone.';
        END IF;
        NEW.fees := ends;
    END IF;
    IF NEW.notional IS NULL AND NEW.quantity IS NOT NULL THEN
        NEW.notional := CASE NEW.contract_type
            WHEN 'inverse' THEN NEW.quantity * NEW.contract_multiplier / nullif(NEW.entry_price, 0)
            ELSE NEW.quantity * NEW.contract_multiplier * NEW.entry_price END;
    ELSIF NEW.quantity IS NULL AND NEW.contract_type = 'inverse' THEN
        NEW.quantity := NEW.notional * NEW.entry_price / nullif(NEW.contract_multiplier, 0);
    END IF;
    NEW.reported_pnl := coalesce(NEW.reported_pnl, NEW.pnl);
    IF NEW.status = 'closed' AND NEW.notional IS NULL AND NEW.reported_pnl IS NOT NULL THEN
        NEW.pnl_basis := 'stated';
    END IF;
    NEW.pnl := CASE WHEN NEW.status = 'closed' THEN net_pnl(
        NEW.pnl_basis, NEW.contract_type, NEW.direction, NEW.notional, NEW.quantity, NEW.contract_multiplier,
        NEW.entry_price, NEW.exit_price, NEW.fees, NEW.funding, NEW.reported_pnl) END;
    RETURN NEW;
END $$;
-- Whatever the path of who writes a trade, as in 0016_rights.sql.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION trades_compute_pnl() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;
-- Rows that arrive complete (bulk loads) pay for the condition alone.
CREATE TRIGGER trades_compute_pnl BEFORE INSERT OR UPDATE ON trades FOR EACH ROW
    WHEN (NEW.pnl IS DISTINCT FROM CASE WHEN NEW.status = 'closed' THEN net_pnl(
              NEW.pnl_basis, NEW.contract_type, NEW.direction, NEW.notional, NEW.quantity, NEW.contract_multiplier,
              NEW.entry_price, NEW.exit_price, NEW.fees, NEW.funding, NEW.reported_pnl) END
          OR (NEW.notional IS NULL AND (NEW.quantity IS NOT NULL OR NEW.status = 'closed'))
          OR (NEW.quantity IS NULL AND NEW.contract_type = 'inverse')
          OR coalesce(NEW.entry_fee + NEW.exit_fee, NEW.entry_fee, NEW.exit_fee) <> NEW.fees)
    EXECUTE FUNCTION trades_compute_pnl();

CREATE OR REPLACE VIEW report.trades AS
SELECT coalesce(nullif(t.exit_time, '-infinity'), nullif(t.entry_time, '-infinity')) AS "time", t.trade_id, t.source,
       t.source_trade_id, t.bot_id, coalesce(t.strategy_id, s.strategy_id) AS strategy_id, t.ticker, t.direction, t.status,
       nullif(t.entry_time, '-infinity') AS entry_time, nullif(t.exit_time, '-infinity') AS exit_time, t.entry_price,
       t.exit_price, t.notional, t.fees, t.pnl, t.quote_currency, t.exit_reason, t.quantity, t.contract_multiplier,
       t.contract_type, t.funding, t.leverage, t.margin, t.exits, t.pnl_basis
FROM trades AS t
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON COLUMN report.trades.pnl IS 'Net result in quote currency: gross, fees taken off, funding added; as the source '
    'states it where pnl_basis is "stated"; null while the trade is open.';
COMMENT ON COLUMN report.trades.funding IS 'Funding and swaps in quote currency; received is positive.';
