-- What the database refuses is said with a remedy, sizes that contradict each other are refused, and what only the pipeline
-- may write is written by it alone.

-- What `trades_possible_amounts` says too.
ALTER TABLE trades
    DROP CONSTRAINT trades_entry_price_check, DROP CONSTRAINT trades_exit_price_check, DROP CONSTRAINT trades_mark_price_check,
    DROP CONSTRAINT trades_entry_trigger_price_check, DROP CONSTRAINT trades_exit_trigger_price_check,
    DROP CONSTRAINT trades_notional_check, DROP CONSTRAINT trades_fees_check, DROP CONSTRAINT trades_pnl_check,
    DROP CONSTRAINT trades_reported_pnl_check;

-- Refuses a row of trades by raising: the rule in words, what the row has in the columns of the constraint, and a remedy.
CREATE FUNCTION refuse_trade(name text, trade trades) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    said record;
    has  text;
BEGIN
    SELECT * INTO said FROM (VALUES
        ('trades_source_check', 'the source is empty', 'Name the source, or leave the column out.'),
        ('trades_source_trade_id_check', 'the id is empty', 'Write the id of the trade in its source, or leave it out.'),
        ('trades_ticker_check', 'the ticker is empty or *', 'Name what was traded; * stands for all of it.'),
        ('trades_direction_check', 'the direction is not known', 'Write LONG or SHORT.'),
        ('trades_status_check', 'the status is not known', 'Write open, pending_exit or closed.'),
        ('trades_quote_currency_check', 'the currency is empty', 'Write its code, such as USD.'),
        ('trades_signal_confidence_check', 'the confidence is not from 0 to 1', 'Divide it by 100 if it is in percent.'),
        ('trades_entry_quality_check', 'the quality is not from 0 to 1', 'Divide it by 100 if it is in percent.'),
        ('trades_closed_has_exit', 'a closed trade has an exit', 'Write exit_time and exit_price, or the status open.'),
        ('trades_open_has_no_exit', 'a trade that is not closed has no exit',
         'Write the status closed, or leave exit_time, exit_price and pnl out; the latest price goes to mark_price.'),
        ('trades_exit_after_entry', 'the exit is earlier than the entry', 'Correct one of the two times; they are UTC.'),
        ('trades_possible_times', 'no trade has this time', 'Write a time of the years 1970 to 9998.'),
        ('trades_possible_amounts', 'no trade has this amount',
         'Prices and sizes are from 1e-18 to below 1e15; other money is 0, or from 1e-100 to below 1e15 in size; a cost is positive.'),
        ('trades_possible_terms', 'no trade has this amount',
         'Write a size, multiplier, leverage or margin from 1e-18 on, and finite fees and funding.'),
        ('trades_contract_type_check', 'the contract type is not known', 'Write linear or inverse.'),
        ('trades_pnl_basis_check', 'the basis of the pnl is not known', 'Write computed or stated.'),
        ('trades_exits_check', 'the number of exits is below 1', 'Count the exits that closed the trade.'),
        ('trades_fee_currency_check', 'the currency of the fees is no plain name', 'Write its code, such as BNB.'),
        ('trades_size_or_pnl', 'a closed trade needs a size or its net pnl',
         'Write notional or quantity; or pnl, which is then taken at its word.'),
        ('trades_plain_text', 'a text is too long or holds control characters',
         'Names have at most 200 characters, and no text line breaks or other control characters.')
    ) AS of_rule (name, rule, remedy) WHERE of_rule.name = refuse_trade.name;
    SELECT string_agg(a.attname || ' = ' || left((to_jsonb(trade) -> a.attname)::text, 100), ', ' ORDER BY a.attnum) INTO has
    FROM pg_constraint AS c
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum > 0 AND a.attnum = ANY (c.conkey)
    WHERE c.conrelid = pg_typeof(trade)::text::regclass AND c.conname = refuse_trade.name
      AND to_jsonb(trade) -> a.attname <> 'null';
    RAISE EXCEPTION 'trade (%, %): % (%)', trade.source, trade.source_trade_id, said.rule, coalesce(has, 'nothing is given')
        USING ERRCODE = 'check_violation', CONSTRAINT = refuse_trade.name, TABLE = 'trades', HINT = said.remedy;
END $$;

-- Each constraint stays the rule that it is; where a row breaks it, that is said in words. What the database completes before
-- it looks (pnl, fees, bot) nobody can break. The whole row is handed over, as it is the shortest: each statement takes its
-- constraints in anew.
DO $$
BEGIN
    EXECUTE 'ALTER TABLE trades ' || (
        SELECT string_agg(format('DROP CONSTRAINT %1$I, ADD CONSTRAINT %1$I CHECK ((%2$s) IS NOT FALSE OR refuse_trade(%1$L, trades))%3$s',
                                 conname, pg_get_expr(conbin, conrelid), CASE WHEN convalidated THEN '' ELSE ' NOT VALID' END), ', ')
        FROM pg_constraint
        WHERE conrelid = 'trades'::regclass AND contype = 'c'
          AND conname NOT IN ('trades_pnl_agrees', 'trades_fees_add_up', 'trades_bot_by_key'));
END $$;

-- A size said twice, and two sizes: which was meant, nobody can tell. By a trigger, as in 0020; of a file's rows its reading
-- has decided already, by core's function `sizes_agree`. Without a function, as in 0014.
CREATE FUNCTION trades_sizes_agree() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trade (%, %): notional % and quantity % are two sizes: % units at % are % in quote currency',
        NEW.source, NEW.source_trade_id, NEW.notional, NEW.quantity, NEW.quantity * NEW.contract_multiplier, NEW.entry_price,
        CASE WHEN NEW.contract_type = 'inverse' THEN NEW.quantity * NEW.contract_multiplier / NEW.entry_price
             ELSE NEW.quantity * NEW.contract_multiplier * NEW.entry_price END
        USING ERRCODE = 'check_violation', CONSTRAINT = 'trades_sizes_agree', TABLE = 'trades',
              HINT = 'Write one of the two; or contract_multiplier, the units of one contract, if that is missing.';
END $$;
CREATE TRIGGER trades_sizes_agree BEFORE INSERT OR UPDATE OF notional, quantity, contract_multiplier, contract_type, entry_price
    ON trades FOR EACH ROW
    WHEN (NEW.import_id IS NULL AND NEW.quantity > 0 AND NEW.entry_price > 0 AND NEW.contract_multiplier < 'infinity'
          AND abs(NEW.notional - NEW.quantity * NEW.contract_multiplier
                  * CASE NEW.contract_type WHEN 'inverse' THEN 1 / NEW.entry_price ELSE NEW.entry_price END)
              > 1e-6 * abs(NEW.notional))
    EXECUTE FUNCTION trades_sizes_agree();

-- When a row was recorded, and by which transaction, is the database's to say, whoever writes it: what was given is replaced
-- and the writer told, once a transaction. (ALWAYS: as 0017. An update that leaves them as they were says nothing of them.)
CREATE FUNCTION recorded_here_and_now() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF (TG_OP = 'INSERT' OR NEW.recorded_at <> OLD.recorded_at)
       AND coalesce(current_setting('knowdefeat.recording_was_told', true), '') <> 'yes' THEN
        PERFORM set_config('knowdefeat.recording_was_told', 'yes', true);
        RAISE WARNING 'recorded_at and recorded_xid of % are the database''s to say: what was given is replaced', TG_TABLE_NAME
            USING HINT = 'Leave these columns out.';
    END IF;
    NEW.recorded_at := clock_timestamp();
    IF TG_TABLE_NAME <> 'belief_ledger' THEN -- which has no recorded_xid
        NEW.recorded_xid := pg_current_xact_id();
    END IF;
    RETURN NEW;
END $$;
DO $$
DECLARE
    given  text := 'NEW.recorded_at < transaction_timestamp() OR NEW.recorded_at > clock_timestamp()';
    moment record;
BEGIN
    FOR moment IN
        SELECT * FROM (VALUES
            ('trades', 'INSERT OR UPDATE'), ('trade_scores', 'INSERT OR UPDATE'), ('price_bars', 'INSERT OR UPDATE'),
            ('order_book_levels', 'INSERT OR UPDATE'), ('fund_settings', 'INSERT OR UPDATE'),
            ('bot_events', 'INSERT OR UPDATE'), ('input_changes', 'INSERT OR UPDATE'), ('belief_ledger', 'INSERT'),
            -- That they close, or become another import's, is no news of what they are.
            ('positions', 'INSERT'), ('position_marks', 'INSERT')
        ) AS of_table (name, events)
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', moment.name || '_recorded_here', moment.name);
        EXECUTE format('CREATE TRIGGER %I BEFORE %s ON %I FOR EACH ROW WHEN (%s%s) EXECUTE FUNCTION recorded_here_and_now()',
                       moment.name || '_recorded_here', moment.events, moment.name, given,
                       CASE moment.name WHEN 'belief_ledger' THEN ''
                                        ELSE ' OR NEW.recorded_xid <> pg_current_xact_id()' END);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', moment.name, moment.name || '_recorded_here');
    END LOOP;
END $$;

-- Whether a stated net pnl is the computed one, to the rounding that it is stated with. The same as core's function `agrees`.
CREATE FUNCTION pnl_agrees(pnl double precision, stated double precision, rounding double precision) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN abs(stated - pnl) <= rounding + 1e-6 * abs(pnl);
ALTER TABLE imports ADD COLUMN pnl_rounding double precision NOT NULL DEFAULT 0.005;
COMMENT ON COLUMN imports.pnl_rounding IS 'Half of the last decimal that the file states its pnl with, at least half a cent.';
COMMENT ON COLUMN trades.reported_pnl IS 'The net pnl that the source states, in quote currency. Where it states its pnl before '
    'costs, these are taken off here: which ones, the layout of the import says (terms, before).';

-- What a row on its way into trades (see load_stage.sql) says of its trade, comparable with trade_content.
CREATE FUNCTION arriving_content(arriving jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    arriving - ARRAY['row_number', 'pnl', 'verdict', 'other_row', 'other_trade', 'account_currency', 'is_repeat'];
