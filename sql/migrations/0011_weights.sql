-- The daily adjustment of the weights: what each attempt came to, and whether it is switched on. Versions follow one
-- another: who adds one builds on the latest, and none begins before it.

CREATE TABLE weight_adjustments (
    day        date PRIMARY KEY,
    as_of      timestamptz NOT NULL,
    -- published: a new version. unchanged, gate_closed: nothing to move; the learner is not ahead of the default weights.
    -- frozen: too little is known. disabled: switched off. refused: a later version was there already.
    outcome    text NOT NULL
        CHECK (outcome IN ('published', 'unchanged', 'gate_closed', 'frozen', 'disabled', 'refused')),
    reason     text NOT NULL CHECK (reason <> ''),
    evidence   jsonb NOT NULL DEFAULT '{}',
    version    integer UNIQUE REFERENCES weight_versions (version),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((outcome = 'published') = (version IS NOT NULL))
);

-- The last row counts; the others are its history.
CREATE TABLE weight_settings (
    setting    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ai_enabled boolean NOT NULL,
    author     text NOT NULL CHECK (author IN ('default', 'manual')),
    reason     text NOT NULL CHECK (reason <> ''),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO weight_settings (ai_enabled, author, reason) VALUES (true, 'default', 'On from the start');

-- Held to the end of the transaction by whoever adds a version.
CREATE FUNCTION weight_versions_lock() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(7738441337173141620)';

CREATE FUNCTION weight_versions_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    latest weight_versions;
BEGIN
    PERFORM weight_versions_lock();
    SELECT * INTO latest FROM weight_versions ORDER BY version DESC LIMIT 1;
    IF FOUND AND NEW.version <> latest.version + 1 THEN
        RAISE EXCEPTION 'version % does not follow version %, the latest', NEW.version, latest.version
            USING ERRCODE = 'serialization_failure', HINT = 'Look at the latest version and build on it.';
    END IF;
    IF FOUND AND NEW.in_force_from < latest.in_force_from THEN
        RAISE EXCEPTION 'a version in force from % would rewrite history: version % is in force from %',
            NEW.in_force_from, latest.version, latest.in_force_from USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER weight_versions_follow BEFORE INSERT ON weight_versions
    FOR EACH ROW EXECUTE FUNCTION weight_versions_follow();

-- What was learned from the simulated fleet goes with it (store/simulated.py), and nothing else ever does.
CREATE OR REPLACE FUNCTION weight_versions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('knowdefeat.simulated_fleet_leaves', true) = 'yes' THEN
        IF OLD.author = 'ai' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'weight versions are never changed or deleted' USING ERRCODE = 'check_violation',
        HINT = 'Add a new version; a rollback is a new version too.';
END $$;
CREATE TRIGGER weight_versions_stay BEFORE TRUNCATE ON weight_versions
    FOR EACH STATEMENT EXECUTE FUNCTION weight_versions_append_only();
