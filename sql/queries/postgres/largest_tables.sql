-- The %(most)s largest of our tables and Dagster's: bytes on disk with indexes, and about how many rows (null: nobody counted
-- yet); and what the whole database takes.
SELECT n.nspname AS schema, c.relname AS "table", pg_total_relation_size(c.oid) AS bytes,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows,
       (SELECT pg_database_size(current_database())) AS database_bytes -- once, and not for each table
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  -- A schema may hold what others made.
  AND (n.nspname = 'dagster' OR (n.nspname = current_schema()
                                 AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = 'trades'::regclass)))
ORDER BY 3 DESC, 1, 2
LIMIT %(most)s
