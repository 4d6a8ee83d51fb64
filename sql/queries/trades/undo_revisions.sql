-- Earlier contents that the import had said are no longer anybody's, unless another import said the same meanwhile.
WITH passed_on AS (
    UPDATE trade_revisions AS r SET import_id = o.import_id
    FROM imports AS o
    WHERE r.import_id = %(import_id)s AND o.import_id = (
        SELECT min(a.import_id) FROM imports AS a
        WHERE a.import_id > r.import_id AND a.import_id < r.replaced_by AND a.undone_at IS NULL AND a.repeats @> r.trade_id)
    RETURNING r.trade_id, r.revision_id
)
DELETE FROM trade_revisions AS r
WHERE r.import_id = %(import_id)s
  AND (r.trade_id, r.revision_id) NOT IN (SELECT trade_id, revision_id FROM passed_on)
