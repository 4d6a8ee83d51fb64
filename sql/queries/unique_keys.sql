-- The unique constraints on trades that stand and are enforced: uniqueness is theirs to hold, row by row, at all times.
SELECT c.relname
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'trades'::regclass AND i.indisunique AND i.indisvalid AND i.indisready
ORDER BY 1
