-- Bots have names, capital that is stated or estimated, and amounts of as many decimals as their currency has.

-- Names. A bot is named by any plain text. The number beside it is the key of all tables: a name that is a number below 2^31
-- is its own key, and every other name gets the next number below 0, so that no number which a file or a writer names can be
-- the key of another bot.

-- How a name is written: a number without what does not change it (+7, 007 and 7.0 are 7), any other text as it stands.
CREATE FUNCTION bot_name(written text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(btrim(written), '^\+?0*([0-9]{1,19})(\.0*)?$', '\1');
-- The key that a name is itself; NULL for names that are given one.
CREATE FUNCTION own_bot_key(name text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN name ~ '^(0|[1-9][0-9]{0,9})$' AND name::bigint < 2147483648 THEN name::integer END;

ALTER TABLE bots
    ADD COLUMN name text,
    ADD COLUMN account text CHECK (account <> '' AND is_plain_name(account));
COMMENT ON COLUMN bots.account IS 'The account that the bot trades on, where somebody says it.';
ALTER TABLE bots DISABLE TRIGGER USER;
UPDATE bots SET name = bot_id::text;
ALTER TABLE bots ENABLE TRIGGER USER;
ALTER TABLE bots
    ALTER name SET NOT NULL,
    ADD CONSTRAINT bots_name_key UNIQUE (name),
    ADD CONSTRAINT bots_plain_name CHECK (name <> '' AND is_plain_name(name) AND name = bot_name(name)),
    -- A number names the bot whose key it is, and no other.
    ADD CONSTRAINT bots_own_number CHECK (own_bot_key(name) = bot_id);

CREATE TRIGGER bots_visible_name BEFORE INSERT OR UPDATE OF name, account ON bots FOR EACH ROW
    WHEN (is_blank(NEW.name) OR is_blank(NEW.account)) EXECUTE FUNCTION refuse_blank_name('name', 'account');

-- Every name that a bot has had still means it: files and writers that use an earlier one need not change.
CREATE TABLE bot_names (
    name   text PRIMARY KEY CHECK (name <> '' AND is_plain_name(name) AND name = bot_name(name)),
    bot_id integer NOT NULL CHECK (own_bot_key(name) = bot_id)
);
COMMENT ON TABLE bot_names IS 'The names that a bot answers to: the present one (bots.name), those it had, and those of bots '
    'that have not traded yet.';
CREATE INDEX bot_names_bot ON bot_names (bot_id);
INSERT INTO bot_names (name, bot_id) SELECT name, bot_id FROM bots;

CREATE SEQUENCE bot_keys AS integer INCREMENT -1 MAXVALUE -1 START -1 OWNED BY bots.bot_id;
SELECT setval('bot_keys', min(bot_id)) FROM bots HAVING min(bot_id) < 0;

-- Whoever inserts a bot without a key or a name need not know the rule.
CREATE FUNCTION bots_take_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name := bot_name(coalesce(NEW.name, NEW.bot_id::text));
    NEW.bot_id := coalesce(NEW.bot_id, (SELECT n.bot_id FROM bot_names AS n WHERE n.name = NEW.name),
                           own_bot_key(NEW.name), nextval('bot_keys')::integer);
    RETURN NEW;
END $$;
CREATE TRIGGER bots_take_name BEFORE INSERT OR UPDATE OF name ON bots FOR EACH ROW EXECUTE FUNCTION bots_take_name();
CREATE FUNCTION bots_keep_name() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    holder integer := (SELECT bot_id FROM bot_names WHERE name = NEW.name AND bot_id <> NEW.bot_id);
BEGIN
    IF holder IS NOT NULL THEN
        RAISE EXCEPTION '% is a name of bot %', NEW.name, coalesce((SELECT name FROM bots WHERE bot_id = holder), holder::text)
            USING ERRCODE = 'unique_violation', HINT = 'A bot keeps the names that it had. Choose another one.';
    END IF;
    INSERT INTO bot_names (name, bot_id) VALUES (NEW.name, NEW.bot_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER bots_keep_name_insert AFTER INSERT ON bots FOR EACH ROW EXECUTE FUNCTION bots_keep_name();
CREATE TRIGGER bots_keep_name_update AFTER UPDATE OF name ON bots FOR EACH ROW
    WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION bots_keep_name();

-- Names on their way in, as `arriving_bots` (migration 0014): two transactions that name the same new bot do not wait for each
-- other. Each gives it a key of its own; at the commit the first one's holds, and the trades of the other follow.
CREATE UNLOGGED TABLE arriving_names (
    recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    name         text NOT NULL,
    bot_id       integer NOT NULL,
    capital      double precision,
    PRIMARY KEY (recorded_xid, name)
);

-- The keys of bots by their names, in the order of the names. Names that nobody knows get keys in this order too, and are
-- noted down, with the capital that goes with them; the bots come with the trades that name them.
CREATE FUNCTION arriving_keys(names text[], capitals double precision[] DEFAULT NULL) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    keys integer[];
BEGIN
    INSERT INTO arriving_names (name, bot_id, capital)
        SELECT name, coalesce(own_bot_key(name), nextval('bot_keys')), capital
        FROM (
            SELECT bot_name(asked) AS name, min(place) AS place, min(capital) AS capital
            FROM unnest(names, capitals) WITH ORDINALITY AS a (asked, capital, place)
            WHERE NOT EXISTS (SELECT FROM bot_names AS n WHERE n.name = bot_name(asked))
              AND (own_bot_key(bot_name(asked)) IS NULL OR capital IS NOT NULL)
              AND NOT EXISTS (SELECT FROM arriving_names AS n
                              WHERE n.recorded_xid = pg_current_xact_id() AND n.name = bot_name(asked))
            GROUP BY 1
            ORDER BY 2
        ) AS fresh;
    SELECT array_agg(coalesce(n.bot_id, own_bot_key(bot_name(asked)), a.bot_id) ORDER BY place) INTO keys
        FROM unnest(names) WITH ORDINALITY AS w (asked, place)
        LEFT JOIN bot_names AS n ON n.name = bot_name(asked)
        LEFT JOIN arriving_names AS a ON a.name = bot_name(asked) AND a.recorded_xid = pg_current_xact_id();
    RETURN coalesce(keys, '{}');
END $$;

-- A trade whose bot has not arrived may still go to the bot that its name turned out to be, in the transaction that wrote it.
CREATE FUNCTION follows_its_bot(before trades, after trades) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT before.recorded_xid = pg_current_xact_id()
       AND NOT EXISTS (SELECT FROM bots WHERE bot_id = before.bot_id)
       AND EXISTS (SELECT FROM bots WHERE bot_id = after.bot_id)
       AND to_jsonb(before) - 'bot_id' = to_jsonb(after) - 'bot_id'
$$;
CREATE OR REPLACE TRIGGER trades_protect BEFORE UPDATE ON trades FOR EACH ROW
    WHEN (OLD.bot_id = NEW.bot_id OR NOT follows_its_bot(OLD.*, NEW.*)) EXECUTE FUNCTION trades_protect();

CREATE OR REPLACE FUNCTION bots_arrive() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    own CONSTANT xid8 := pg_current_xact_id();
    bad record;
BEGIN
    -- Called once for each row; the first call sees to all of the transaction, and leaves none.
    IF NOT EXISTS (SELECT FROM arriving_bots WHERE recorded_xid = own)
       AND NOT EXISTS (SELECT FROM arriving_names WHERE recorded_xid = own) THEN
        RETURN NULL;
    END IF;
    SELECT a.bot_id INTO bad FROM arriving_bots a
        WHERE a.recorded_xid = own AND a.bot_id < 0 AND NOT EXISTS (SELECT FROM bot_names n WHERE n.bot_id = a.bot_id)
          AND NOT EXISTS (SELECT FROM arriving_names n WHERE n.recorded_xid = own AND n.bot_id = a.bot_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'there is no bot with the key %', bad.bot_id USING ERRCODE = 'foreign_key_violation',
            HINT = 'A new bot is named by a number from 0 on, or by any text in the column bot_name.';
    END IF;
    -- In the order of names, in which all transactions enter their bots.
    INSERT INTO bots (bot_id, name, strategy_id, quote_currency, capital)
        SELECT bot_id, name, strategy_id, quote_currency, capital
        FROM (
            SELECT DISTINCT ON (a.bot_id) a.bot_id, coalesce(k.name, n.name, a.bot_id::text) AS name,
                   a.strategy_id, a.quote_currency, n.capital
            FROM arriving_bots a
            LEFT JOIN arriving_names n ON n.recorded_xid = own AND n.bot_id = a.bot_id
            LEFT JOIN bot_names k ON k.bot_id = a.bot_id
            WHERE a.recorded_xid = own AND NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = a.bot_id)
            ORDER BY a.bot_id, a.arrival
        ) AS arriving
        ORDER BY name
        ON CONFLICT DO NOTHING;
    -- Where another transaction was faster, its key holds.
    UPDATE trades t SET bot_id = known.bot_id
        FROM arriving_names n JOIN bot_names known USING (name)
        WHERE n.recorded_xid = own AND n.bot_id <> known.bot_id AND t.bot_id = n.bot_id;
    SELECT a.quote_currency, b.name, b.quote_currency AS bot_currency INTO bad
        FROM arriving_bots a JOIN bots b USING (bot_id)
        WHERE a.recorded_xid = own AND a.quote_currency <> b.quote_currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a trade is in %, but bot % accounts in %: sums never mix currencies',
            bad.quote_currency, bad.name, bad.bot_currency
            USING ERRCODE = 'check_violation', HINT = 'Give the trades of the other currency a bot of their own.';
    END IF;
    DELETE FROM arriving_bots WHERE recorded_xid = own;
    DELETE FROM arriving_names WHERE recorded_xid = own;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER names_arrive AFTER INSERT ON arriving_names DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION bots_arrive();

-- Writers may name their bot by `bot_name` in the place of `bot_id`: the one is turned into the other, and not kept.
ALTER TABLE trades ADD COLUMN bot_name text, ADD CONSTRAINT trades_bot_by_key CHECK (bot_name IS NULL);
COMMENT ON COLUMN trades.bot_name IS 'For INSERT alone: the bot by its name, in the place of bot_id. Never kept.';
CREATE OR REPLACE FUNCTION trade_content(trade trades) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE RETURN
    to_jsonb(trade) - ARRAY['trade_id', 'source', 'simulated', 'import_id', 'pnl', 'recorded_at', 'recorded_xid', 'bot_name'];
CREATE FUNCTION trades_find_bot() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    key integer;
BEGIN
    IF NEW.bot_name IS NULL OR bot_name(NEW.bot_name) = '' THEN
        RAISE EXCEPTION 'trade (%, %) names no bot', NEW.source, NEW.source_trade_id USING ERRCODE = 'not_null_violation',
            HINT = 'Write bot_id (its number) or bot_name (its name).';
    END IF;
    IF NOT is_plain_name(NEW.bot_name) THEN
        RAISE EXCEPTION 'trade (%, %): the name of its bot is no plain name', NEW.source, NEW.source_trade_id
            USING ERRCODE = 'check_violation', HINT = 'Take at most 200 characters, none of them a control character.';
    END IF;
    key := coalesce((SELECT n.bot_id FROM bot_names AS n WHERE n.name = bot_name(NEW.bot_name)),
                    (arriving_keys(ARRAY[NEW.bot_name]))[1]);
    IF NEW.bot_id <> key THEN
        RAISE EXCEPTION 'trade (%, %): bot_id % is not the bot that bot_name % names',
            NEW.source, NEW.source_trade_id, NEW.bot_id, NEW.bot_name
            USING ERRCODE = 'check_violation', HINT = 'Write one of the two.';
    END IF;
    NEW.bot_id := key;
    NEW.bot_name := NULL;
    RETURN NEW;
END $$;
-- Named so that it comes before the trigger that computes, and asked for by rows that need it alone.
CREATE TRIGGER trades_bot_name BEFORE INSERT ON trades FOR EACH ROW
    WHEN (NEW.bot_name IS NOT NULL OR NEW.bot_id IS NULL) EXECUTE FUNCTION trades_find_bot();

-- A bot without a strategy is one of its own, called by its name. (Whatever else the view tells, it still does.)
CREATE OR REPLACE VIEW bot_strategies AS
SELECT bot_id, coalesce(strategy_id, 'bot ' || name) AS strategy_id FROM bots;
DO $$
DECLARE
    told text := pg_get_viewdef('closed_trades'::regclass);
    by_name text := regexp_replace(told, $a$\('bot '::text \|\| t\.bot_id\)$a$,
                                   $b$('bot '::text || COALESCE(b.name, t.bot_id::text))$b$);
BEGIN
    IF by_name = told THEN
        RAISE EXCEPTION 'the view closed_trades does not name bots without a strategy as expected';
    END IF;
    EXECUTE 'CREATE OR REPLACE VIEW closed_trades AS ' || by_name;
END $$;
CREATE TRIGGER bots_renamed AFTER UPDATE OF name ON bots FOR EACH ROW
    WHEN (OLD.name <> NEW.name AND NEW.strategy_id IS NULL) EXECUTE FUNCTION bots_strategy_changes();

-- Capital. NULL: nobody stated it, and it is estimated from what the bot's trades took. Up to here there was no way to state
-- it but in the table itself, and everybody else had 10,000 without a word: that is no statement. The simulated fleet has it.
ALTER TABLE bots ALTER capital DROP DEFAULT, ALTER capital DROP NOT NULL;
UPDATE bots AS b SET capital = NULL
WHERE capital = 10000 AND NOT EXISTS (SELECT FROM trades AS t WHERE t.bot_id = b.bot_id AND t.simulated);

-- The most that a bot had open at once, in quote currency: of every as_of later than `since`, until the next row. Only of bots
-- whose capital nobody stated; their first row (-infinity, 0) says that they were looked at.
CREATE TABLE bot_exposures (
    bot_id   integer NOT NULL,
    since    timestamptz NOT NULL,
    exposure double precision NOT NULL,
    PRIMARY KEY (bot_id, since)
);
-- Trades that a transaction below `recorded_below` wrote are in the exposures.
CREATE TABLE bot_exposures_state (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    recorded_below xid8 NOT NULL
);
CREATE INDEX IF NOT EXISTS trades_open ON trades (bot_id) WHERE status <> 'closed';

-- What goes, or began at another time, leaves no row that tells of it: its bot is looked at anew, beside the steps that it had.
-- Whoever computes them now is waited for.
CREATE FUNCTION trades_deleted_exposures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7738421627686187877); -- as store/exposures.py
    DELETE FROM bot_exposures WHERE since = '-infinity' AND bot_id IN (SELECT bot_id FROM gone);
    RETURN NULL;
END $$;
CREATE TRIGGER trades_deleted_exposures AFTER DELETE ON trades REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
    EXECUTE FUNCTION trades_deleted_exposures();
CREATE FUNCTION trades_truncated_exposures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7738421627686187877);
    DELETE FROM bot_exposures WHERE since = '-infinity';
    RETURN NULL;
END $$;
CREATE TRIGGER trades_truncated_exposures AFTER TRUNCATE ON trades FOR EACH STATEMENT
    EXECUTE FUNCTION trades_truncated_exposures();
CREATE FUNCTION trades_moved_exposures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7738421627686187877);
    DELETE FROM bot_exposures WHERE since = '-infinity' AND bot_id = OLD.bot_id;
    RETURN NULL;
END $$;
CREATE TRIGGER trades_moved_exposures AFTER UPDATE OF entry_time ON trades FOR EACH ROW
    WHEN (OLD.entry_time <> NEW.entry_time) EXECUTE FUNCTION trades_moved_exposures();
CREATE FUNCTION bots_capital_stated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM bot_exposures WHERE bot_id = OLD.bot_id;
    RETURN NULL;
END $$;
CREATE TRIGGER bots_capital_stated AFTER UPDATE OF capital ON bots FOR EACH ROW
    WHEN (OLD.capital IS NULL) EXECUTE FUNCTION bots_capital_stated();
CREATE FUNCTION bots_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM bot_exposures WHERE bot_id = OLD.bot_id;
    DELETE FROM bot_names WHERE bot_id = OLD.bot_id;
    RETURN NULL;
END $$;
CREATE TRIGGER bots_forgotten AFTER DELETE ON bots FOR EACH ROW EXECUTE FUNCTION bots_forgotten();

-- Each bot's capital as things stand, NULL where nobody stated it and no size is known to estimate it by.
CREATE VIEW bot_capitals AS
SELECT b.bot_id, coalesce(b.capital, nullif(e.exposure, 0)) AS capital, b.capital IS NULL AS capital_is_estimated
FROM bots AS b
LEFT JOIN LATERAL (SELECT max(exposure) AS exposure FROM bot_exposures AS x WHERE x.bot_id = b.bot_id) AS e
    ON b.capital IS NULL;

ALTER TABLE bot_metrics_rows ADD COLUMN capital double precision, ADD COLUMN capital_is_estimated boolean;
DO $$
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW bot_metrics AS ' || regexp_replace(
        rtrim(pg_get_viewdef('bot_metrics'::regclass), ';'), '(\s+FROM )', ', r.capital, r.capital_is_estimated\1');
END $$;
UPDATE bot_metrics_rows AS r SET capital = coalesce(b.capital, 10000), capital_is_estimated = b.capital IS NULL
FROM bots AS b WHERE b.bot_id = r.bot_id;
ALTER TABLE fund_allocations ADD COLUMN capital_is_estimated boolean;
UPDATE fund_allocations AS a SET capital_is_estimated = b.capital IS NULL FROM bots AS b WHERE b.bot_id = a.bot_id;

-- Money has the decimals of its currency. The same as knowdefeat_pipeline/core/money.py.
CREATE FUNCTION currency_digits(currency text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN upper(currency) IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
                                  'VUV', 'XAF', 'XOF', 'XPF') THEN 0
         WHEN upper(currency) IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 3
         WHEN upper(currency) IN ('ADA', 'AVAX', 'BCH', 'BNB', 'BTC', 'DASH', 'DOGE', 'DOT', 'ETC', 'ETH', 'LINK', 'LTC', 'MATIC',
                                  'SOL', 'TON', 'TRX', 'WBTC', 'WETH', 'XBT', 'XLM', 'XMR', 'XRP', 'ZEC') THEN 8
         ELSE 2 END;
DROP VIEW report.allocations;
ALTER TABLE fund_settings ALTER funds TYPE numeric, ALTER minimum_ticket TYPE numeric;
ALTER TABLE fund_allocations ALTER amount TYPE numeric;
ALTER TABLE fund_allocation_days ALTER funds TYPE numeric, ALTER allocated TYPE numeric, ALTER cash TYPE numeric;
CREATE VIEW report.allocations AS
SELECT as_of AS "time", day, bot_id, quote_currency, ticker, rank, target, amount, decision, reason, capital_is_estimated
FROM fund_allocations;
COMMENT ON VIEW report.allocations IS 'What each bot was allocated on each day, and why; "time" is when it is true.';
COMMENT ON COLUMN report.allocations.capital_is_estimated IS 'Whether what halts the bot, in percent of its capital, rests on '
    'an estimate of it.';

-- Reports name bots.
DO $$
DECLARE
    shown record;
BEGIN
    FOR shown IN
        SELECT c.oid::regclass AS view, rtrim(pg_get_viewdef(c.oid), ';') AS definition
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'bot_id'
        WHERE c.relnamespace = 'report'::regnamespace AND c.relkind = 'v'
    LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT shown.*, b.name AS bot FROM (%s) AS shown '
                       'LEFT JOIN bots AS b ON b.bot_id = shown.bot_id', shown.view, shown.definition);
        EXECUTE format('COMMENT ON COLUMN %s.bot IS %L', shown.view, 'The name of the bot.');
    END LOOP;
END $$;

-- In the owner's name, as the triggers of migration 0016.
DO $$
DECLARE
    trusted record;
BEGIN
    FOR trusted IN
        SELECT p.oid::regprocedure AS name
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace
          AND p.proname IN ('arriving_keys', 'bots_arrive', 'bots_take_name', 'bots_keep_name', 'bots_capital_stated',
                            'bots_forgotten', 'follows_its_bot', 'trades_deleted_exposures', 'trades_find_bot',
                            'trades_moved_exposures', 'trades_truncated_exposures')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp',
                       trusted.name, current_schema());
    END LOOP;
END $$;
