-- What others are to be told of, by webhook: written in the transaction in which it happens, and sent after it (see
-- automation/webhooks.py). due_at null: there is nothing more to do; attempts above 0 without delivered_at: it was given up.
CREATE TABLE webhook_events (
    event_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('run_failed', 'bot_halted', 'weights_published', 'quarantine_held', 'asset_stale')),
    told         text NOT NULL,
    data         jsonb NOT NULL,
    occurred_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    last_error   text
);
COMMENT ON TABLE webhook_events IS 'What others are told of by webhook, and what became of telling them.';
CREATE INDEX webhook_events_due ON webhook_events (due_at) WHERE due_at IS NOT NULL;

CREATE FUNCTION tell_of_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY knowdefeat_events;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_events_told AFTER INSERT OR UPDATE OF due_at ON webhook_events
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_event();

-- A history that is computed anew is no news: halts of long ago are left out.
CREATE FUNCTION bot_halted_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_events (kind, told, data)
    SELECT 'bot_halted', format('Bot %s was halted: %s', b.name, a.reason),
           jsonb_build_object('bot_id', a.bot_id, 'bot', b.name, 'reason', a.reason, 'figures', a.figures,
                              'in_force_from', nullif(a.in_force_from, '-infinity'))
    FROM added AS a
    JOIN bots AS b USING (bot_id)
    WHERE a.kind = 'halted' AND a.in_force_from > clock_timestamp() - interval '2 days';
    RETURN NULL;
END $$;
CREATE TRIGGER bot_halted_event AFTER INSERT ON bot_events REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION bot_halted_event();

CREATE FUNCTION weights_published_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_events (kind, told, data)
    SELECT 'weights_published', format('Version %s of the weights was published by %s: %s', version, author, reason),
           jsonb_build_object('version', version, 'author', author, 'reason', reason,
                              'in_force_from', nullif(in_force_from, '-infinity'))
    FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER weights_published_event AFTER INSERT ON weight_versions REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION weights_published_event();

CREATE FUNCTION quarantine_held_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_events (kind, told, data)
    SELECT 'quarantine_held', format('%s of %s refused and held: %s', CASE WHEN sum(rows) = 1 THEN '1 row' ELSE sum(rows) || ' rows' END,
                                     file_name, string_agg(reason || ' ' || rows, ', ' ORDER BY rows DESC, reason)),
           jsonb_build_object('source', source, 'file_name', file_name, 'rows', sum(rows),
                              'reasons', jsonb_object_agg(reason, rows))
    FROM (SELECT source, file_name, reason, count(*) AS rows FROM added WHERE status = 'held' AND NOT simulated
          GROUP BY source, file_name, reason) AS a
    GROUP BY source, file_name;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_held_event AFTER INSERT ON trade_quarantine REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_held_event();

-- Whoever halts, publishes or refuses needs no right on the table; see 0016.
DO $$
DECLARE
    item text;
BEGIN
    FOREACH item IN ARRAY ARRAY['bot_halted_event', 'weights_published_event', 'quarantine_held_event'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp', item, current_schema());
    END LOOP;
END $$;
