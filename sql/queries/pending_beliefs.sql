-- The days whose beliefs lag: refreshed since they were learned, or touched by a change of what is learned from.
-- %(first)s and %(last)s are the first and last asset of a day's refresh and its learning.
SELECT min(r.day) AS first_day, max(r.day) AS last_day, min(r.refreshed_at) AS since,
       max(greatest(l.newest, pg_snapshot_xmax(r.seen)::text::bigint)) AS newest
FROM refreshed_days AS r
LEFT JOIN refreshed_days AS b ON (b.asset, b.day) = (%(learned)s, r.day)
LEFT JOIN LATERAL (
    SELECT max(c.recorded_xid::text::bigint) AS newest FROM belief_changes AS c
    WHERE c.since <= r.as_of AND c.recorded_xid >= pg_snapshot_xmin(b.seen)
      AND NOT pg_visible_in_snapshot(c.recorded_xid, b.seen)
) AS l ON true
WHERE r.asset = %(refreshed)s
  AND (b.day IS NULL OR b.as_of <> r.as_of OR b.refreshed_at < r.refreshed_at OR l.newest IS NOT NULL)
