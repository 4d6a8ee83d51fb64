-- What the leaving trades were before: the last content that an import moved on or replaced, or, of at least its state, the last
-- one that an import had of them later than that which was recorded (see load_revisions).
CREATE TEMP TABLE contents ON COMMIT DROP AS
WITH earlier AS (
    SELECT r.*, l.source, l.simulated, coalesce(r.import_id > r.replaced_by, false) AS is_behind,
           array_position(ARRAY['open', 'pending_exit', 'closed'], r.content ->> 'status') AS progress
    FROM leaving AS l JOIN trade_revisions AS r USING (trade_id)
    WHERE l.heir IS NULL
),
last_replaced AS (
    SELECT DISTINCT ON (trade_id) trade_id, progress
    FROM earlier WHERE NOT is_behind
    ORDER BY trade_id, revision_id DESC
)
SELECT DISTINCT ON (e.trade_id) e.trade_id, e.source, e.simulated, e.import_id, e.content, e.revision_id, e.is_behind
FROM earlier AS e LEFT JOIN last_replaced AS p USING (trade_id)
WHERE NOT e.is_behind OR e.progress >= coalesce(p.progress, 0)
ORDER BY e.trade_id, e.is_behind DESC, e.progress * e.is_behind::integer DESC, e.revision_id DESC;
DELETE FROM trade_revisions AS r USING contents AS c WHERE (r.trade_id, r.revision_id) = (c.trade_id, c.revision_id)
