-- Imports, the latest first; `held`: rows of each that are in quarantine still.
SELECT i.import_id, i.source, i.file_name, i.content_hash, i.layout, i.author, i.rows_read, i.inserted, i.updated, i.replaced,
       i.unchanged, i.quarantined, i.notes, i.imported_at, i.undone_at, i.undone_by,
       (SELECT count(*) FROM trade_quarantine q WHERE q.status = 'held' AND (q.import_id = i.import_id OR EXISTS (
            SELECT FROM quarantine_repeats r WHERE (r.quarantine_id, r.import_id) = (q.quarantine_id, i.import_id)))) AS held
FROM imports AS i
WHERE (%(import_id)s::bigint IS NULL OR i.import_id = %(import_id)s)
  AND (%(before)s::bigint IS NULL OR i.import_id < %(before)s)
ORDER BY i.import_id DESC
LIMIT %(limit)s
