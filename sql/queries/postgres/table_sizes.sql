-- Our tables and Dagster's, with their indexes' and long values' bytes; the largest first.
SELECT n.nspname, c.relname, pg_total_relation_size(c.oid)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND n.nspname IN (current_schema(), 'dagster')
  AND pg_has_role(c.relowner, 'USAGE')  -- a database may be shared, and only an owner may vacuum
ORDER BY 3 DESC, 1, 2
