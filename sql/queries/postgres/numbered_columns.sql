-- The columns of our tables that hold transaction ids and snapshots.
SELECT c.relname AS table_name, a.attname AS column_name, a.atttypid = 'pg_snapshot'::regtype AS is_snapshot
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.atttypid IN ('xid8'::regtype, 'pg_snapshot'::regtype) AND c.relname <> 'cluster_identity'
ORDER BY c.relname, a.attname
