-- The sources of the imports that count, the one that came last first.
SELECT source, count(*) AS imports, sum(inserted)::bigint AS inserted, max(imported_at) AS last_import
FROM imports
WHERE undone_at IS NULL
GROUP BY source
ORDER BY last_import DESC, source
LIMIT %(limit)s
