-- Changes that every family has followed need no longer be looked at, nor kept once no run can be left that began before.
WITH settled AS (
    INSERT INTO settled_changes (family, seen) VALUES (%(family)s, %(seen)s::pg_snapshot)
    ON CONFLICT (family) DO UPDATE SET seen = excluded.seen
)
DELETE FROM input_changes AS i
WHERE i.recorded_at < clock_timestamp() - interval '1 day'
  AND pg_visible_in_snapshot(i.recorded_xid, %(seen)s::pg_snapshot)
  AND NOT EXISTS (SELECT FROM unnest(%(others)s::text[]) AS o (family)
                  LEFT JOIN settled_changes AS s USING (family)
                  WHERE s.seen IS NULL OR NOT pg_visible_in_snapshot(i.recorded_xid, s.seen))
  AND NOT EXISTS (SELECT FROM belief_checkpoints_state AS c WHERE NOT pg_visible_in_snapshot(i.recorded_xid, c.seen))
