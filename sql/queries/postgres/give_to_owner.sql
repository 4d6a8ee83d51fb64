-- On a server that is ours alone: hands what the server's first superuser made to a role that is none, so that triggers
-- which act in the owner's name can do no more than it, and lets nobody in who has no role of ours.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        WITH things (kind, name, owner) AS (
            SELECT CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass::text, relowner
            FROM pg_class
            WHERE relnamespace IN (current_schema()::regnamespace, to_regnamespace('report')) AND relkind IN ('r', 'v')
            UNION ALL
            SELECT 'FUNCTION', oid::regprocedure::text, proowner
            FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prokind = 'f'
            UNION ALL
            SELECT 'STATISTICS', format('%I.%I', stxnamespace::regnamespace, stxname), stxowner
            FROM pg_statistic_ext WHERE stxnamespace = current_schema()::regnamespace
            UNION ALL
            SELECT 'SCHEMA', 'report', nspowner FROM pg_namespace WHERE nspname = 'report'
            UNION ALL
            SELECT 'DATABASE', quote_ident(datname), datdba FROM pg_database WHERE datname = current_database()
        )
        -- Whoever writes a trade holds that table when he comes to the others.
        SELECT kind, name FROM things WHERE owner <> 'knowdefeat_owner'::regrole
        ORDER BY name <> 'trades'
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO knowdefeat_owner', given.kind, given.name);
    END LOOP;
    FOR given IN
        SELECT datname AS name FROM pg_database
        WHERE datname IN (current_database(), 'postgres', 'template1')
          AND (has_database_privilege('public', oid, 'CONNECT') OR has_database_privilege('public', oid, 'TEMPORARY'))
    LOOP
        EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', given.name);
    END LOOP;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO knowdefeat_owner', current_schema());
END $$;
