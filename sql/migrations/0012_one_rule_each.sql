-- Rules of time and of trades in one place each, and one mechanism that tells which results are stale.

-- Time. Every interval is half-open: a trade belongs to the UTC day [00:00, 24:00) of its exit_time, as a partition does.
CREATE FUNCTION day_of(instant timestamptz) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (instant AT TIME ZONE 'UTC')::date
$$;
CREATE FUNCTION day_start(day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT day::timestamp AT TIME ZONE 'UTC'
$$;
CREATE FUNCTION day_end(day date) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (day + 1)::timestamp AT TIME ZONE 'UTC'
$$;

-- Closed trades, and what follows from them by rule. Bots are joined by their key, so that a query that does not ask for
-- the strategy does not pay for it.
CREATE VIEW closed_trades AS
SELECT t.trade_id, t.bot_id, t.ticker, t.direction, t.entry_time, t.exit_time, day_of(t.exit_time) AS day,
       -- A trade belongs to the strategy that it names, else to its bot's, else its bot is one of its own.
       coalesce(t.strategy_id, b.strategy_id, 'bot ' || t.bot_id) AS strategy_id,
       CASE t.direction WHEN 'LONG' THEN 1 ELSE -1 END AS side,
       t.notional, t.pnl, t.reported_pnl, t.pnl > 0 AS is_win,
       -- Basis points against the trade: a long position that exits below its trigger price paid.
       10000 * (CASE t.direction WHEN 'LONG' THEN -1 ELSE 1 END)
           * (t.exit_price - t.exit_trigger_price) / t.exit_trigger_price AS slippage,
       t.signal_confidence, t.recorded_at, t.recorded_xid
FROM trades AS t
LEFT JOIN bots AS b ON b.bot_id = t.bot_id
WHERE t.status = 'closed';

-- The strategy of a bot's trades that name none.
CREATE VIEW bot_strategies AS
SELECT bot_id, coalesce(strategy_id, 'bot ' || bot_id) AS strategy_id FROM bots;

-- The regime that held in a series (one of regime_series) at an instant: the label of the last bar that had closed by
-- then, unless that is too old to speak. No row where none held; NEUTRAL is undecided.
CREATE FUNCTION regime_at(series regime_series, instant timestamptz) RETURNS TABLE (label text) LANGUAGE sql STABLE AS $$
    SELECT r.label
    FROM market_regimes AS r
    WHERE r.ticker = series.ticker AND r.timeframe = series.timeframe
      AND r.open_time <= instant - series.length AND r.open_time > instant - series.length - series.reach
    ORDER BY r.open_time DESC LIMIT 1
$$;

-- What results rest on. Each computed day of an asset notes its as_of, the snapshot in which its inputs were read, and the
-- marks of the asset days that it read (null: there was none). It is stale once one of these is no longer so.
ALTER TABLE refreshed_days
    ADD COLUMN mark bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN rests_on jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT '1';
ALTER TABLE refreshed_days ALTER recorded_xid SET DEFAULT pg_current_xact_id();
CREATE INDEX refreshed_days_recorded ON refreshed_days (recorded_xid);

-- Decisions are inputs like trades: whoever has not seen their transaction has not followed them.
ALTER TABLE weight_versions ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT '1';
ALTER TABLE weight_versions ALTER recorded_xid SET DEFAULT pg_current_xact_id();
ALTER TABLE fund_settings ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT '1';
ALTER TABLE fund_settings ALTER recorded_xid SET DEFAULT pg_current_xact_id();
ALTER TABLE bot_events ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT '1';
ALTER TABLE bot_events ALTER recorded_xid SET DEFAULT pg_current_xact_id();
CREATE INDEX bot_events_recorded ON bot_events (recorded_xid);

-- Changes of an input that no row of its own tells of (something was deleted or renamed): from which instant on the input
-- is no longer what was read, and since which transaction.
ALTER TABLE belief_changes RENAME TO input_changes;
ALTER TABLE input_changes
    ADD COLUMN input text NOT NULL DEFAULT 'ledger',
    ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT clock_timestamp();
ALTER TABLE input_changes ALTER input DROP DEFAULT;
ALTER TABLE input_changes DROP CONSTRAINT belief_changes_pkey, ADD PRIMARY KEY (recorded_xid, input);
CREATE FUNCTION note_change(changed_input text, changed_since timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO input_changes (input, since) SELECT changed_input, changed_since WHERE changed_since IS NOT NULL
    ON CONFLICT (recorded_xid, input) DO UPDATE SET since = least(input_changes.since, excluded.since)
$$;

CREATE OR REPLACE FUNCTION belief_ledger_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- An entry counts at its own instant already.
    PERFORM note_change('ledger', (SELECT min(in_force_from) - interval '1 microsecond' FROM changed));
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION market_regimes_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change('regimes', (SELECT min(open_time) FROM changed));
    RETURN NULL;
END $$;
-- Months are folded again from what is left; whoever folds them now has read what goes, and is waited for.
CREATE OR REPLACE FUNCTION trades_deleted_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed WHERE status = 'closed') THEN
        PERFORM note_change('trades', (SELECT min(exit_time) FROM changed WHERE status = 'closed'));
        PERFORM pg_advisory_xact_lock(7738430385091274867); -- as store/months.py
        DELETE FROM bot_months;
        DELETE FROM bot_months_state;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION trades_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change('trades', '-infinity');
    PERFORM pg_advisory_xact_lock(7738430385091274867); -- as store/months.py
    DELETE FROM bot_months;
    DELETE FROM bot_months_state;
    RETURN NULL;
END $$;
CREATE TRIGGER trades_truncated AFTER TRUNCATE ON trades FOR EACH STATEMENT EXECUTE FUNCTION trades_truncated();
CREATE OR REPLACE FUNCTION bots_strategy_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change('strategies', (SELECT min(exit_time) FROM closed_trades WHERE bot_id = NEW.bot_id));
    RETURN NULL;
END $$;
CREATE FUNCTION bots_capital_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change('capital', (SELECT min(exit_time) FROM closed_trades WHERE bot_id = NEW.bot_id));
    RETURN NULL;
END $$;
CREATE TRIGGER bots_capital_changes AFTER UPDATE OF capital, quote_currency ON bots FOR EACH ROW
    WHEN ((OLD.capital, OLD.quote_currency) IS DISTINCT FROM (NEW.capital, NEW.quote_currency))
    EXECUTE FUNCTION bots_capital_changes();
CREATE FUNCTION bots_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change(input, (SELECT min(exit_time) FROM closed_trades WHERE bot_id = OLD.bot_id))
        FROM unnest(ARRAY['capital', 'strategies']) AS input;
    RETURN NULL;
END $$;
CREATE TRIGGER bots_deleted AFTER DELETE ON bots FOR EACH ROW EXECUTE FUNCTION bots_deleted();
CREATE FUNCTION weight_versions_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change('weights', (SELECT min(in_force_from) FROM changed));
    PERFORM note_change('next_weights', (SELECT min(in_force_from) - interval '1 microsecond' FROM changed));
    RETURN NULL;
END $$;
CREATE TRIGGER weight_versions_deleted AFTER DELETE ON weight_versions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION weight_versions_deleted();
DROP FUNCTION note_belief_change(timestamptz);

-- Everything that results rest on, one row a change: it touches every figure whose as_of is later than `changed_at`.
-- A decision counts at its own instant already, so it has changed one microsecond before; a version of the weights counts
-- for every as_of strictly later than its own, so that no ranking is rewritten by what was learned from it; but it is what
-- comes next at its own instant already (next_weights). What the risk rules record themselves (halts, releases) follows
-- from the rest.
CREATE VIEW changes AS
SELECT 'trades' AS input, exit_time AS changed_at, recorded_xid, recorded_at, 1 AS trades FROM closed_trades
UNION ALL
SELECT 'scores', t.exit_time, s.recorded_xid, s.recorded_at, 0
FROM trade_scores AS s JOIN trades AS t USING (trade_id) WHERE t.status = 'closed'
UNION ALL
SELECT 'weights', in_force_from, recorded_xid, created_at, 0 FROM weight_versions
UNION ALL
SELECT 'next_weights', in_force_from - interval '1 microsecond', recorded_xid, created_at, 0 FROM weight_versions
UNION ALL
SELECT 'activity', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0
FROM bot_events WHERE kind IN ('activated', 'deactivated')
UNION ALL
SELECT 'resumption', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0
FROM bot_events WHERE kind = 'resumed'
UNION ALL
SELECT 'funds', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0 FROM fund_settings
UNION ALL
SELECT 'bars', open_time, recorded_xid, recorded_at, 0 FROM price_bars
UNION ALL
SELECT 'books', observed_at, recorded_xid, recorded_at, 0 FROM order_book_levels
UNION ALL
SELECT input, since, recorded_xid, recorded_at, 0 FROM input_changes;

-- Per family of assets: changes that are visible to this snapshot have reached every day that was computed, so that
-- nobody need look at them again.
CREATE TABLE settled_changes (
    family text PRIMARY KEY,
    seen   pg_snapshot NOT NULL
);
DROP TABLE settled_trades, settled_market;

-- Up to which snapshot all computed days of a family's assets have followed every change: the settled one, or an earlier one
-- in which a day was read that was written since (by a run that took long). An earlier snapshot shows less than a later one.
CREATE FUNCTION followed_changes(family_name text, assets text[]) RETURNS pg_snapshot LANGUAGE sql STABLE AS $$
    WITH settled AS (
        SELECT coalesce((SELECT seen FROM settled_changes WHERE family = family_name), '1:1:'::pg_snapshot) AS seen
    ),
    written_since AS (
        SELECT d.seen
        FROM settled AS s
        JOIN refreshed_days AS d ON d.recorded_xid >= pg_snapshot_xmin(s.seen)
            AND NOT pg_visible_in_snapshot(d.recorded_xid, s.seen)
        WHERE d.asset = ANY(assets)
    )
    SELECT seen
    FROM (SELECT seen FROM settled UNION ALL SELECT seen FROM written_since) AS snapshots
    ORDER BY pg_snapshot_xmin(seen), pg_snapshot_xmax(seen), (SELECT count(*) FROM pg_snapshot_xip(seen)) DESC
    LIMIT 1
$$;

-- Up to here an exit at midnight belonged to the day that ended, and a day was ranked with what was learned at its end.
SELECT note_change('trades', min(exit_time) - interval '1 microsecond')
FROM trades WHERE status = 'closed' AND exit_time = day_start(day_of(exit_time));
SELECT note_change('weights', min(in_force_from) - interval '1 microsecond') FROM weight_versions WHERE version > 1;
UPDATE refreshed_days SET rests_on = '{"bot_rankings": null}' WHERE asset = 'fund_allocations';
DELETE FROM bot_months;
DELETE FROM bot_months_state;
DELETE FROM belief_checkpoints;
DELETE FROM belief_checkpoints_state;
