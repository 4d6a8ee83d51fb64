-- Funds over bots: what may be allocated and how, what was decided about bots, and what each bot got on each day.
-- Column comments are set from the definitions in knowdefeat_pipeline/core/figures.py after every migration.

-- The instant from which a person's decision counts unless the session names another: that of the last ranking, so that
-- the next run over its day follows at once while earlier days keep what was decided then.
CREATE FUNCTION decision_time() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('knowdefeat.in_force_from', true), '')::timestamptz,
                    (SELECT max(as_of) FROM refreshed_days WHERE asset = 'bot_rankings'),
                    '-infinity')
$$;

CREATE TABLE fund_settings (
    version          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quote_currency   text NOT NULL CHECK (quote_currency <> ''),
    in_force_from    timestamptz NOT NULL DEFAULT decision_time(),
    funds            numeric(14, 2) NOT NULL CHECK (funds >= 0 AND funds <= 1e12),
    method           text NOT NULL CHECK (method IN ('rank_score', 'equal', 'inverse_variance', 'hrp', 'belief_edge')),
    bot_cap          double precision NOT NULL CHECK (bot_cap > 0 AND bot_cap <= 1),
    ticker_cap       double precision NOT NULL CHECK (ticker_cap > 0 AND ticker_cap <= 1),
    minimum_ticket   numeric(14, 2) NOT NULL CHECK (minimum_ticket >= 0 AND minimum_ticket <= 1e12),
    drawdown_limit   double precision NOT NULL CHECK (drawdown_limit > 0 AND drawdown_limit <= 100),
    daily_loss_limit double precision NOT NULL CHECK (daily_loss_limit > 0 AND daily_loss_limit <= 100),
    -- A longer one would look further back than the trailing 30 days that risk is measured over.
    cool_down_hours  double precision NOT NULL CHECK (cool_down_hours >= 0 AND cool_down_hours <= 720),
    author           text NOT NULL CHECK (author <> ''),
    reason           text NOT NULL CHECK (reason <> ''),
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE bot_events (
    event_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id        integer NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('activated', 'deactivated', 'halted', 'released', 'resumed')),
    in_force_from timestamptz NOT NULL DEFAULT decision_time(),
    author        text NOT NULL CHECK (author <> ''),
    reason        text NOT NULL CHECK (reason <> ''),
    figures       jsonb NOT NULL DEFAULT '{}',
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX bot_events_bot ON bot_events (bot_id, event_id);

-- A bot's events can only go with the bot itself (the simulated fleet makes room for real trades).
CREATE FUNCTION decisions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'bot_events' THEN
        IF NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = OLD.bot_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation',
        HINT = 'Record a new decision: the last one counts.';
END $$;
CREATE TRIGGER fund_settings_append_only BEFORE UPDATE OR DELETE ON fund_settings
    FOR EACH ROW EXECUTE FUNCTION decisions_append_only();
CREATE TRIGGER bot_events_append_only BEFORE UPDATE OR DELETE ON bot_events
    FOR EACH ROW EXECUTE FUNCTION decisions_append_only();

-- Whoever switches a bot on or off, by command or in the table itself, leaves a record.
CREATE FUNCTION bots_record_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bot_events (bot_id, kind, author, reason) VALUES (
        NEW.bot_id, CASE WHEN NEW.is_active THEN 'activated' ELSE 'deactivated' END,
        coalesce(nullif(current_setting('knowdefeat.author', true), ''), session_user),
        coalesce(nullif(current_setting('knowdefeat.reason', true), ''), 'set in the table bots'));
    RETURN NULL;
END $$;
CREATE TRIGGER bots_record_update AFTER UPDATE OF is_active ON bots FOR EACH ROW
    WHEN (NEW.is_active IS DISTINCT FROM OLD.is_active) EXECUTE FUNCTION bots_record_activity();
CREATE TRIGGER bots_record_insert AFTER INSERT ON bots FOR EACH ROW
    WHEN (NOT NEW.is_active) EXECUTE FUNCTION bots_record_activity();
INSERT INTO bot_events (bot_id, kind, in_force_from, author, reason)
    SELECT bot_id, 'deactivated', '-infinity', session_user, 'inactive before events were recorded'
    FROM bots WHERE NOT is_active;

CREATE TABLE fund_allocations (
    day              date NOT NULL,
    as_of            timestamptz NOT NULL,
    bot_id           integer NOT NULL,
    quote_currency   text NOT NULL,
    settings_version integer NOT NULL,
    ticker           text,
    rank             integer,
    target           double precision,
    amount           numeric(14, 2) NOT NULL CHECK (amount >= 0),
    decision         text NOT NULL CHECK (decision IN ('funded', 'capped', 'below_minimum', 'no_share', 'inactive',
                                                       'halted', 'unranked', 'unmeasured')),
    reason           text NOT NULL CHECK (reason <> ''),
    drawdown         double precision,
    daily_loss       double precision,
    CHECK (amount = 0 OR decision IN ('funded', 'capped')),
    PRIMARY KEY (day, bot_id)
);

CREATE TABLE fund_allocation_days (
    day              date NOT NULL,
    as_of            timestamptz NOT NULL,
    quote_currency   text NOT NULL,
    settings_version integer NOT NULL,
    method           text NOT NULL,
    funds            numeric(14, 2) NOT NULL,
    allocated        numeric(14, 2) NOT NULL,
    cash             numeric(14, 2) NOT NULL CHECK (cash >= 0),
    cash_reason      text NOT NULL,
    bots             bigint NOT NULL,
    funded           bigint NOT NULL,
    CHECK (allocated + cash = funds),
    PRIMARY KEY (day, quote_currency)
);

-- As for the other tables whose days are replaced (see 0007).
ALTER TABLE fund_allocations SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE fund_allocation_days SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
