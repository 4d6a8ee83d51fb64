-- The rows of an import that is undone are those of the next import that has them, as they stand there: what was recorded by
-- the one is held for the other, what a person discarded or a correction recorded stays so. What no other import has is
-- discarded, what another one had first is its alone, and what had been released because the import recorded it is held again.
WITH heirs AS (
    SELECT DISTINCT ON (r.quarantine_id) r.quarantine_id, r.import_id, r.row_number, i.file_name, i.layout,
           q.status = 'discarded' OR coalesce(q.released_by <> %(import_id)s, false) AND EXISTS (
               SELECT FROM imports AS c WHERE c.import_id = q.released_by AND c.undone_at IS NULL) AS is_settled
    FROM quarantine_repeats AS r
    JOIN imports AS i USING (import_id)
    JOIN trade_quarantine AS q ON q.quarantine_id = r.quarantine_id AND q.import_id = %(import_id)s
    WHERE i.undone_at IS NULL
    ORDER BY r.quarantine_id, r.import_id
),
passed_on AS (
    UPDATE trade_quarantine AS q
    SET import_id = h.import_id, row_number = h.row_number, file_name = h.file_name, layout = h.layout,
        status = CASE WHEN h.is_settled THEN q.status ELSE 'held' END,
        note = CASE WHEN h.is_settled THEN q.note END,
        settled_at = CASE WHEN h.is_settled THEN q.settled_at END,
        released_by = CASE WHEN h.is_settled THEN q.released_by END
    FROM heirs AS h WHERE h.quarantine_id = q.quarantine_id
    RETURNING q.quarantine_id
),
inherited AS (
    DELETE FROM quarantine_repeats AS r USING heirs AS h
    WHERE (r.quarantine_id, r.import_id) = (h.quarantine_id, h.import_id)
),
repeated AS (
    DELETE FROM quarantine_repeats WHERE import_id = %(import_id)s
),
held_again AS (
    UPDATE trade_quarantine SET status = 'held', note = NULL, settled_at = NULL, released_by = NULL
    WHERE released_by = %(import_id)s AND import_id IS DISTINCT FROM %(import_id)s
)
UPDATE trade_quarantine SET status = 'discarded', note = %(note)s, settled_at = %(now)s
WHERE import_id = %(import_id)s AND status = 'held' AND quarantine_id NOT IN (SELECT quarantine_id FROM heirs)
