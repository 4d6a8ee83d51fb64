-- The days whose beliefs lag: refreshed since they were learned, or touched by a change of what is learned from.
-- %(refreshed)s is the asset whose mark says at which instant a day is true, %(learned)s the last one that learns.
WITH state AS (
    SELECT r.day, r.seen, r.refreshed_at,
           b.day IS NULL OR b.as_of <> r.as_of OR b.refreshed_at < r.refreshed_at AS lags,
           (SELECT max(c.recorded_xid::text::bigint) FROM belief_changes AS c
            WHERE c.since <= r.as_of AND c.recorded_xid >= pg_snapshot_xmin(b.seen)
              AND NOT pg_visible_in_snapshot(c.recorded_xid, b.seen)) AS changed
    FROM refreshed_days AS r
    LEFT JOIN refreshed_days AS b ON (b.asset, b.day) = (%(learned)s, r.day)
    WHERE r.asset = %(refreshed)s
)
SELECT min(day) FILTER (WHERE lags OR changed IS NOT NULL) AS first_day,
       max(day) FILTER (WHERE lags OR changed IS NOT NULL) AS last_day,
       min(refreshed_at) FILTER (WHERE lags OR changed IS NOT NULL) AS since,
       max(greatest(changed, pg_snapshot_xmax(seen)::text::bigint))
           FILTER (WHERE lags OR changed IS NOT NULL) AS newest,
       count(*) AS refreshed_days, pg_current_snapshot()::text AS snapshot
FROM state
