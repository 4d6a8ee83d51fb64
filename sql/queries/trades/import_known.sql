-- The import of the same file, read in the same way, if it was not undone.
SELECT import_id FROM imports
WHERE content_hash = %(content_hash)s AND source = %(source)s AND layout = %(layout)s AND undone_at IS NULL
ORDER BY import_id LIMIT 1
