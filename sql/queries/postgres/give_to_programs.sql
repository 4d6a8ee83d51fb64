-- give_to_programs
-- On a server that is ours alone: what our own programs need beside rights on tables. Dagster makes and changes its own
-- tables, so that they belong to whom its storage logs in as; files are loaded by COPY, which is refused to whom a policy
-- of rows applies; and whoever waits for a lock sees since when its holder is silent. The owner may do all of that too, as
-- backups hold Dagster's tables.
DO $$
DECLARE
    item record;
BEGIN
    ALTER ROLE knowdefeat_pipeline BYPASSRLS;
    IF NOT pg_has_role('knowdefeat_pipeline', 'pg_read_all_stats', 'MEMBER') THEN
        GRANT pg_read_all_stats TO knowdefeat_pipeline;
    END IF;
    IF NOT pg_has_role('knowdefeat_owner', 'knowdefeat_pipeline', 'MEMBER') THEN
        GRANT knowdefeat_pipeline TO knowdefeat_owner;
    END IF;
    IF to_regnamespace('dagster') IS NULL THEN
        CREATE SCHEMA dagster;
    END IF;
    FOR item IN
        SELECT 'SCHEMA' AS kind, 'dagster' AS name FROM pg_namespace
        WHERE nspname = 'dagster' AND nspowner <> 'knowdefeat_pipeline'::regrole
        UNION ALL
        SELECT 'TABLE', oid::regclass::text FROM pg_class
        WHERE relnamespace = to_regnamespace('dagster') AND relkind = 'r' AND relowner <> 'knowdefeat_pipeline'::regrole
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO knowdefeat_pipeline', item.kind, item.name);
    END LOOP;
END $$;
