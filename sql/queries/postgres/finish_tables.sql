-- The statements that make what belongs to the tables of the schema %(schema)s, once their rows are there.
SELECT statement
FROM (
    SELECT CASE k.contype WHEN 'p' THEN 1 WHEN 'u' THEN 1 WHEN 'c' THEN 2 ELSE 4 END AS step, k.conname AS name,
           format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
               AS statement
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND k.contype IN ('p', 'u', 'c', 'f')
    UNION ALL
    SELECT 3, i.relname, pg_get_indexdef(x.indexrelid)
    FROM pg_index AS x
    JOIN pg_class AS i ON i.oid = x.indexrelid
    JOIN pg_namespace AS n ON n.oid = i.relnamespace
    WHERE n.nspname = %(schema)s AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = x.indexrelid AND k.contype <> 'f')
    UNION ALL
    SELECT 5, s.relname, format('ALTER SEQUENCE %%I.%%I OWNED BY %%I.%%I.%%I', n.nspname, s.relname, n.nspname, c.relname, a.attname)
    FROM pg_class AS s
    JOIN pg_namespace AS n ON n.oid = s.relnamespace
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'a'
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
    WHERE n.nspname = %(schema)s AND s.relkind = 'S'
    UNION ALL
    SELECT 6, n.nspname, format('COMMENT ON SCHEMA %%I IS %%L', n.nspname, obj_description(n.oid, 'pg_namespace'))
    FROM pg_namespace AS n
    WHERE n.nspname = %(schema)s AND obj_description(n.oid, 'pg_namespace') IS NOT NULL
) AS statements
ORDER BY step, name
