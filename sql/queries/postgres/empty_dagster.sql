-- empty_dagster
-- Drops Dagster's tables, all of them. The schema stays: who owns it need not be allowed to make another.
DO $$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, oid::regclass::text AS name
        FROM pg_class WHERE relnamespace = to_regnamespace('dagster') AND relkind IN ('r', 'S')
        ORDER BY relkind DESC  -- tables take their own sequences with them
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', item.kind, item.name);
    END LOOP;
END $$;
