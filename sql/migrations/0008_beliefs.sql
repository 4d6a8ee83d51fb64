-- Beliefs: what is learned of strategies from their outcomes, and what was decided about that learning.
-- Outcomes of real trades are the closed rows of `trades`, which never change. What else is learned from, and what is
-- forgotten, stands in the ledger, for ever.

CREATE TABLE belief_ledger (
    entry_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('backtest', 'withdrawal', 'reset')),
    -- Of a backtest and of its withdrawal: the name under which its outcomes stand.
    source        text CHECK (source <> ''),
    -- Of a backtest: what each of its outcomes counts beside a real one.
    discount      double precision CHECK (discount > 0 AND discount <= 1),
    -- Of a backtest: names its outcomes, so that the same file is learned once.
    content       text,
    -- Of a reset: the strategy; NULL for all.
    strategy_id   text,
    reason        text NOT NULL CHECK (reason <> ''),
    -- Figures true at this instant or later follow the entry; earlier ones stay what they were.
    in_force_from timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT belief_ledger_backtest CHECK ((kind = 'backtest') = (discount IS NOT NULL AND content IS NOT NULL)),
    CONSTRAINT belief_ledger_source CHECK ((kind = 'reset') = (source IS NULL)),
    CONSTRAINT belief_ledger_strategy CHECK (kind = 'reset' OR strategy_id IS NULL)
);
CREATE UNIQUE INDEX belief_ledger_once ON belief_ledger (source, kind);

CREATE TABLE backtest_outcomes (
    outcome_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id    bigint NOT NULL REFERENCES belief_ledger,
    exit_time   timestamptz NOT NULL CHECK (exit_time > '-infinity' AND exit_time < 'infinity'),
    strategy_id text NOT NULL CHECK (strategy_id <> ''),
    regime      text CHECK (regime IN ('TRENDING', 'RANGING', 'VOLATILE')),
    -- Standardised over the backtest: pnl / what the strategy's earlier trades usually made or lost.
    result      double precision NOT NULL CHECK (result > '-infinity' AND result < 'infinity')
);
CREATE INDEX backtest_outcomes_exit ON backtest_outcomes (exit_time);

CREATE FUNCTION belief_ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: nothing in it is changed or deleted', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', HINT = 'Withdraw a backtest: knowdefeat beliefs withdraw NAME --reason TEXT';
END $$;
CREATE TRIGGER belief_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON belief_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION belief_ledger_append_only();
CREATE TRIGGER backtest_outcomes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON backtest_outcomes
    FOR EACH STATEMENT EXECUTE FUNCTION belief_ledger_append_only();

-- From which instant on the outcomes, or their regimes, are no longer those that were learned, and since which
-- transaction. New trades are not among these changes: they are told by their own recorded_xid.
CREATE TABLE belief_changes (
    recorded_xid xid8 PRIMARY KEY DEFAULT pg_current_xact_id(),
    since        timestamptz NOT NULL
);
CREATE FUNCTION note_belief_change(changed_since timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO belief_changes (since) SELECT changed_since WHERE changed_since IS NOT NULL
    ON CONFLICT (recorded_xid) DO UPDATE SET since = least(belief_changes.since, excluded.since)
$$;

CREATE FUNCTION belief_ledger_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_belief_change((SELECT min(in_force_from) FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER belief_ledger_changes AFTER INSERT ON belief_ledger REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION belief_ledger_changes();

CREATE FUNCTION market_regimes_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_belief_change((SELECT min(open_time) FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER market_regimes_inserted AFTER INSERT ON market_regimes REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market_regimes_changes();
CREATE TRIGGER market_regimes_updated AFTER UPDATE ON market_regimes REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market_regimes_changes();
CREATE TRIGGER market_regimes_deleted AFTER DELETE ON market_regimes REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION market_regimes_changes();

CREATE FUNCTION trades_deleted_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_belief_change((SELECT min(exit_time) FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER trades_deleted AFTER DELETE ON trades REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trades_deleted_changes();

-- A bot's strategy names the outcomes of its trades that name none.
CREATE FUNCTION bots_strategy_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_belief_change((SELECT min(exit_time) FROM trades WHERE bot_id = NEW.bot_id AND status = 'closed'));
    RETURN NULL;
END $$;
CREATE TRIGGER bots_strategy_changes AFTER UPDATE OF strategy_id ON bots FOR EACH ROW
    WHEN (OLD.strategy_id IS DISTINCT FROM NEW.strategy_id) EXECUTE FUNCTION bots_strategy_changes();

-- What all outcomes until the end of a day left behind, so that the next day need not fold them again.
CREATE TABLE belief_checkpoints (
    day    date PRIMARY KEY,
    as_of  timestamptz NOT NULL,
    -- The rules of learning: a state that other rules left is of no use.
    rules  text NOT NULL,
    memory bytea NOT NULL
);
-- Checkpoints hold all that is visible to this snapshot.
CREATE TABLE belief_checkpoints_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen     pg_snapshot NOT NULL
);

-- The series of bars that tells a ticker's regime: its finest. A label speaks until the bar after the next should have
-- closed, but at least a week (markets close).
CREATE FUNCTION timeframe_length(timeframe text) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
    SELECT left(timeframe, -1)::integer * CASE right(timeframe, 1)
        WHEN 'm' THEN interval '1 minute' WHEN 'h' THEN interval '1 hour'
        WHEN 'd' THEN interval '24 hours' WHEN 'w' THEN interval '168 hours' END
$$;
CREATE VIEW regime_series AS
WITH RECURSIVE series AS (
    (SELECT ticker, timeframe FROM market_regimes ORDER BY ticker, timeframe LIMIT 1)
    UNION ALL
    -- From one series to the next through the index, instead of reading every label.
    SELECT following.ticker, following.timeframe
    FROM series AS s
    CROSS JOIN LATERAL (
        SELECT m.ticker, m.timeframe FROM market_regimes AS m
        WHERE (m.ticker, m.timeframe) > (s.ticker, s.timeframe) ORDER BY m.ticker, m.timeframe LIMIT 1
    ) AS following
)
SELECT DISTINCT ON (ticker) ticker, timeframe, timeframe_length(timeframe) AS length,
       greatest(2 * timeframe_length(timeframe), interval '168 hours') AS reach
FROM series
ORDER BY ticker, timeframe_length(timeframe);

CREATE TABLE strategy_beliefs (
    day                  date NOT NULL,
    as_of                timestamptz NOT NULL,
    strategy_id          text NOT NULL,
    regime               text NOT NULL,
    prior_win_rate       double precision NOT NULL,
    prior_win_rate_low   double precision NOT NULL,
    prior_win_rate_high  double precision NOT NULL,
    win_rate             double precision NOT NULL,
    win_rate_low         double precision NOT NULL,
    win_rate_high        double precision NOT NULL,
    accuracy_improvement double precision NOT NULL,
    edge                 double precision NOT NULL,
    edge_low             double precision NOT NULL,
    edge_high            double precision NOT NULL,
    edge_sd              double precision NOT NULL,
    confidence           double precision NOT NULL,
    effective_samples    double precision NOT NULL,
    PRIMARY KEY (day, strategy_id, regime)
);
CREATE INDEX strategy_beliefs_strategy ON strategy_beliefs (strategy_id, day);

CREATE TABLE strategy_weights (
    day             date NOT NULL,
    as_of           timestamptz NOT NULL,
    strategy_id     text NOT NULL,
    weight          double precision NOT NULL,
    weight_trending double precision NOT NULL,
    weight_ranging  double precision NOT NULL,
    weight_volatile double precision NOT NULL,
    p_trending      double precision NOT NULL,
    p_ranging       double precision NOT NULL,
    p_volatile      double precision NOT NULL,
    PRIMARY KEY (day, strategy_id)
);
CREATE INDEX strategy_weights_strategy ON strategy_weights (strategy_id, day);

CREATE TABLE strategy_calibration (
    day               date NOT NULL,
    as_of             timestamptz NOT NULL,
    strategy_id       text NOT NULL,
    trades            bigint NOT NULL,
    stated_trades     bigint NOT NULL,
    brier_score       double precision,
    calibration_error double precision,
    reliability       jsonb NOT NULL,
    learning_velocity double precision NOT NULL,
    PRIMARY KEY (day, strategy_id)
);

-- Replaced up to once a minute: as for the tables of the ranking (see 0007).
ALTER TABLE strategy_beliefs SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE strategy_weights SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE strategy_calibration SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
