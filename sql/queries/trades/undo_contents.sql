-- What the leaving trades were before: the furthest state that another import or their bot had said, of several the last.
CREATE TEMP TABLE contents ON COMMIT DROP AS
SELECT DISTINCT ON (r.trade_id) r.trade_id, l.source, l.simulated, r.import_id, r.content, r.revision_id
FROM leaving AS l JOIN trade_revisions AS r USING (trade_id)
WHERE l.heir IS NULL
ORDER BY r.trade_id, array_position(ARRAY['open', 'pending_exit', 'closed'], r.content ->> 'status') DESC, r.revision_id DESC;
DELETE FROM trade_revisions AS r USING contents AS c WHERE (r.trade_id, r.revision_id) = (c.trade_id, c.revision_id)
