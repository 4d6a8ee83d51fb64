-- Our tables and Dagster's, with their indexes' and long values' bytes; the largest first.
SELECT n.nspname, c.relname, pg_total_relation_size(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND n.nspname IN (current_schema(), 'dagster')
  -- A database may be shared, and only who owns a table or maintains it may vacuum it.
  AND (pg_has_role(c.relowner, 'USAGE')
       OR CASE WHEN current_setting('server_version_num')::integer >= 170000
               THEN has_table_privilege(c.oid, 'MAINTAIN') END)
ORDER BY 3 DESC, 1, 2
