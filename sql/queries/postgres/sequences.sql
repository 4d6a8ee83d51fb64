-- The sequences of the schema %(schema)s (NULL: ours), by name.
SELECT c.relname
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(%(schema)s, current_schema()) AND c.relkind = 'S'
ORDER BY c.relname
