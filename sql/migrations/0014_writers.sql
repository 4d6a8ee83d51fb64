-- What writers may call things, which trades are simulated, and new bots in any order.

-- A name that can be shown anywhere: at most 200 characters, none of which steers a terminal, breaks a line or turns the
-- direction of the text. As in knowdefeat_pipeline/core/escaping.py; a test compares the two over all of Unicode.
CREATE FUNCTION is_plain_name(name text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN char_length(name) <= 200 AND name !~ '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]';

-- The simulated fleet is an import like any other, marked in its own column: it alone is ever removed.
ALTER TABLE trades ADD COLUMN simulated boolean NOT NULL DEFAULT false;
CREATE INDEX trades_simulated ON trades (bot_id) WHERE simulated;
-- Of the trades there are, those that can be nobody else's: the simulator's numbering, names, and fees to the last bit.
ALTER TABLE trades DISABLE TRIGGER trades_protect, DISABLE TRIGGER trades_admit_update;
UPDATE trades SET simulated = true
WHERE source = 'simulator' AND source_trade_id ~ '^(base|informative|adverse|switch|null)-[0-9]+-[0-9]+$'
  AND strategy_id IN ('trend', 'pairs', 'breakout', 'momentum', 'mean_reversion', 'scalper')
  AND ticker IN ('BTC-USD', 'ETH-USD', 'SOL-USD', 'TSLA', 'COIN', 'NVDA')
  AND coalesce(exit_reason, 'tp') IN ('tp', 'sl', 'exit_signal')
  AND fees = 0.0005::float8 * notional / CASE status WHEN 'closed' THEN 1 ELSE 2 END;
ALTER TABLE trades ENABLE TRIGGER trades_protect, ENABLE TRIGGER trades_admit_update;

-- NOT VALID: whatever was recorded before the rule stays. Of trades all texts are looked at as one and without a function,
-- which the planner would take in anew at every statement: the insert of a single row would be slower by a tenth.
ALTER TABLE trades ADD CONSTRAINT trades_plain_text CHECK (
    greatest(char_length(source), char_length(source_trade_id), char_length(ticker), char_length(strategy_id),
             char_length(quote_currency)) <= 200
    AND source || source_trade_id || ticker || coalesce(strategy_id, '') || quote_currency || coalesce(exit_reason, '')
        !~ '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]') NOT VALID;
-- Times that no trade has: what cannot be told as a day of ours would stop every run, for all bots. Those that were recorded
-- go to quarantine, from where a corrected row is released.
CREATE FUNCTION is_possible_time(instant timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN instant >= '1970-01-01Z' AND instant < '9999-01-01Z';
INSERT INTO trade_quarantine (source, file_name, row_number, reason, column_name, message, original, layout)
SELECT t.source, 'trades', t.trade_id, 'impossible_time', wrong.name,
       format('%s %L lies outside of the years 1970 to 9998; correct it.', wrong.name, cells.original ->> wrong.name),
       cells.original,
       jsonb_build_object('format', 'table', 'columns', cells.names, 'timezone', 'UTC', 'currency', t.quote_currency,
                          'confidence_scale', 1)
FROM trades AS t
CROSS JOIN LATERAL (SELECT CASE WHEN is_possible_time(t.entry_time) THEN 'exit_time' ELSE 'entry_time' END AS name) AS wrong
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(key, value) AS original, jsonb_object_agg(key, key) AS names
    FROM jsonb_each_text(to_jsonb(t))
    WHERE value IS NOT NULL AND key NOT IN ('trade_id', 'pnl', 'recorded_at', 'recorded_xid', 'simulated', 'source')
) AS cells
WHERE NOT is_possible_time(t.entry_time) OR NOT is_possible_time(t.exit_time)
ON CONFLICT DO NOTHING;
DELETE FROM trades WHERE NOT is_possible_time(entry_time) OR NOT is_possible_time(exit_time);
ALTER TABLE trades ADD CONSTRAINT trades_possible_times CHECK (
    entry_time >= '1970-01-01Z' AND entry_time < '9999-01-01Z' AND exit_time >= '1970-01-01Z' AND exit_time < '9999-01-01Z'
);
ALTER TABLE bots ADD CONSTRAINT bots_plain_names CHECK (
    is_plain_name(strategy_id) AND is_plain_name(quote_currency)) NOT VALID;
ALTER TABLE price_bars ADD CONSTRAINT price_bars_plain_names CHECK (is_plain_name(ticker)) NOT VALID;
ALTER TABLE order_book_levels ADD CONSTRAINT order_book_levels_plain_names CHECK (is_plain_name(ticker)) NOT VALID;
ALTER TABLE belief_ledger ADD CONSTRAINT belief_ledger_plain_names CHECK (
    is_plain_name(source) AND is_plain_name(strategy_id)) NOT VALID;
ALTER TABLE backtest_outcomes ADD CONSTRAINT backtest_outcomes_plain_names CHECK (is_plain_name(strategy_id)) NOT VALID;
ALTER TABLE fund_settings ADD CONSTRAINT fund_settings_plain_names CHECK (is_plain_name(quote_currency)) NOT VALID;

-- A trade only moves forward (open, pending_exit, closed), a closed one stays as it is, and none becomes simulated.
CREATE OR REPLACE FUNCTION trades_protect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' THEN
        RAISE EXCEPTION 'trade % (%, %) is closed and cannot be changed', OLD.trade_id, OLD.source, OLD.source_trade_id
            USING ERRCODE = 'check_violation', HINT = 'Record a correction as a new trade under an id of its own.';
    END IF;
    IF (NEW.trade_id, NEW.source, NEW.source_trade_id, NEW.bot_id, NEW.simulated) IS DISTINCT FROM
       (OLD.trade_id, OLD.source, OLD.source_trade_id, OLD.bot_id, OLD.simulated) THEN
        RAISE EXCEPTION 'the identity of trade % cannot be changed', OLD.trade_id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status = 'pending_exit' AND NEW.status = 'open' THEN
        RAISE EXCEPTION 'trade % cannot go back from pending_exit to open', OLD.trade_id USING ERRCODE = 'check_violation';
    END IF;
    NEW.recorded_at := clock_timestamp();
    NEW.recorded_xid := pg_current_xact_id();
    RETURN NEW;
END $$;

-- A bot's events go with the bot itself, and what the risk rules decided of simulated trades with these.
CREATE OR REPLACE FUNCTION decisions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'bot_events' THEN
        IF NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = OLD.bot_id) THEN
            RETURN OLD;
        END IF;
        IF OLD.kind IN ('halted', 'released') AND current_setting('knowdefeat.simulated_fleet_leaves', true) = 'yes' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation',
        HINT = 'Record a new decision: the last one counts.';
END $$;

-- New bots are noted down by the trades that name them, and enter the table `bots` when the transaction commits, in the order
-- of their numbers. So no order in which writers name them makes two transactions wait for each other, and none that stays
-- open keeps others waiting. Until its commit a transaction does not see the rows of its own new bots either.
CREATE UNLOGGED TABLE arriving_bots (
    arrival        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_xid   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    bot_id         integer NOT NULL,
    strategy_id    text,
    quote_currency text NOT NULL
);
CREATE INDEX arriving_bots_recorded ON arriving_bots (recorded_xid);
CREATE FUNCTION bots_arrive() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    -- Called once for each row; the first call sees to all of the transaction, and leaves none.
    IF NOT EXISTS (SELECT FROM arriving_bots WHERE arrival = NEW.arrival) THEN
        RETURN NULL;
    END IF;
    INSERT INTO bots (bot_id, strategy_id, quote_currency)
        SELECT DISTINCT ON (bot_id) bot_id, strategy_id, quote_currency
        FROM arriving_bots WHERE recorded_xid = pg_current_xact_id() ORDER BY bot_id, arrival
        ON CONFLICT DO NOTHING;
    SELECT a.*, b.quote_currency AS bot_currency INTO bad FROM arriving_bots a JOIN bots b USING (bot_id)
        WHERE a.recorded_xid = pg_current_xact_id() AND a.quote_currency <> b.quote_currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a trade is in %, but bot % accounts in %: sums never mix currencies',
            bad.quote_currency, bad.bot_id, bad.bot_currency
            USING ERRCODE = 'check_violation', HINT = 'Give the trades of the other currency a bot_id of their own.';
    END IF;
    DELETE FROM arriving_bots WHERE recorded_xid = pg_current_xact_id();
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER bots_arrive AFTER INSERT ON arriving_bots DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION bots_arrive();

-- Once per statement, for any number of rows: clocks, bots, currencies, and the news.
CREATE OR REPLACE FUNCTION trades_admit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    IF NOT EXISTS (SELECT FROM recorded) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO bad FROM recorded
        WHERE greatest(entry_time, exit_time) > now() + interval '5 minutes' LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'trade (%, %) lies in the future: % is later than now (5 minutes of clock skew are allowed)',
            bad.source, bad.source_trade_id, greatest(bad.entry_time, bad.exit_time)
            USING ERRCODE = 'check_violation', HINT = 'Check the writer''s clock and time zone; times are UTC.';
    END IF;
    -- One look at the bots, as nearly all rows name known ones: another currency first, then bots that nobody knew.
    SELECT r.*, b.quote_currency AS bot_currency INTO bad FROM recorded r LEFT JOIN bots b USING (bot_id)
        WHERE b.bot_id IS NULL OR r.quote_currency <> b.quote_currency ORDER BY b.bot_id IS NULL LIMIT 1;
    IF bad.bot_currency IS NOT NULL THEN
        RAISE EXCEPTION 'trade (%, %) is in %, but bot % accounts in %: sums never mix currencies',
            bad.source, bad.source_trade_id, bad.quote_currency, bad.bot_id, bad.bot_currency
            USING ERRCODE = 'check_violation', HINT = 'Give the trades of the other currency a bot_id of their own.';
    END IF;
    IF bad.bot_id IS NOT NULL THEN
        INSERT INTO arriving_bots (bot_id, strategy_id, quote_currency)
            SELECT DISTINCT ON (bot_id, quote_currency) bot_id, strategy_id, quote_currency FROM recorded r
            WHERE NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = r.bot_id)
            ORDER BY bot_id, quote_currency, entry_time DESC;
    END IF;
    NOTIFY knowdefeat_trades;
    RETURN NULL;
END $$;

-- Scores that go leave no row that could be seen as later, and what a session remembers of them goes with the months'
-- content. (Those that go with their trades need nothing: the trades' own trigger sees to it.)
CREATE FUNCTION trade_scores_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM changed JOIN trades USING (trade_id)) THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM note_change('scores', '1970-01-01Z'::timestamptz);
    UPDATE bot_months_state SET content = gen_random_uuid();
    RETURN NULL;
END $$;
CREATE TRIGGER trade_scores_deleted AFTER DELETE ON trade_scores REFERENCING OLD TABLE AS changed FOR EACH STATEMENT
    EXECUTE FUNCTION trade_scores_deleted();
CREATE TRIGGER trade_scores_truncated AFTER TRUNCATE ON trade_scores FOR EACH STATEMENT
    EXECUTE FUNCTION trade_scores_deleted();
