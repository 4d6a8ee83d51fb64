-- What the database enforces on trades, row by row, at every write: the valid unique indexes and checks.
SELECT c.relname
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = 'trades'::regclass AND i.indisunique AND i.indisvalid AND i.indisready
UNION ALL
SELECT conname FROM pg_constraint WHERE conrelid = 'trades'::regclass AND contype = 'c' AND convalidated
