-- The pages tell what ran: knowdefeat_web may read those of Dagster's tables that say so. By whoever owns them; where they are
-- another's, or not there yet, nothing is done, and it is done again by who makes them.
DO $$
DECLARE
    item text;
BEGIN
    IF to_regrole('knowdefeat_web') IS NULL
       OR NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'dagster' AND pg_has_role(nspowner, 'USAGE')) THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA dagster TO knowdefeat_web;
    FOR item IN
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = to_regnamespace('dagster') AND pg_has_role(relowner, 'USAGE')
          AND relname IN ('runs', 'event_logs', 'daemon_heartbeats', 'asset_check_executions')
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO knowdefeat_web', item);
    END LOOP;
END $$;
