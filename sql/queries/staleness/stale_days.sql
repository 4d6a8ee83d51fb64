-- The stale days of a family of assets, and since when; one statement and thus one snapshot.
-- A day is stale where a change before its as_of was not seen, where something happened in it since, where what it was
-- computed from was computed again, where some of the family's results are missing, and where it has ended since; in assets
-- whose days move on from one another also where an earlier day was computed after a later one.
-- Parameters: %(settled)s the snapshot whose changes need not be looked at again; %(assets)s the family; %(resting)s and
-- %(inputs)s pair assets with the inputs of `changes` that they rest on; %(base)s the asset whose computed days the family
-- has to have too; %(opening)s the inputs for whose sake a day from %(horizon)s on is computed that never was; %(chained)s the
-- assets whose days move on from one another; %(as_of)s now. (A parameter, and no subquery, tells the planner how few changes are younger.)
WITH computed AS (
    SELECT asset, day, as_of, seen, recorded_xid, mark, rests_on, refreshed_at
    FROM refreshed_days WHERE asset = ANY(%(assets)s::text[])
),
resting AS (
    SELECT asset, input FROM unnest(%(resting)s::text[], %(inputs)s::text[]) AS r (asset, input)
),
fresh AS (
    SELECT input, day_of(changed_at) AS day, recorded_xid, min(changed_at) AS first_at, max(changed_at) AS latest_at,
           max(changed_at) FILTER (WHERE changed_at < %(as_of)s) AS last_at, sum(trades) AS trades, min(recorded_at) AS since
    FROM changes
    WHERE recorded_xid >= pg_snapshot_xmin(%(settled)s::pg_snapshot)
      AND NOT pg_visible_in_snapshot(recorded_xid, %(settled)s::pg_snapshot)
      AND input = ANY(%(inputs)s::text[])
    GROUP BY 1, 2, 3
),
written AS (
    SELECT input, recorded_xid, min(first_at) AS first_at, sum(trades) AS trades, min(since) AS since
    FROM fresh
    GROUP BY 1, 2
),
recomputed AS (
    SELECT day, recorded_xid
    FROM refreshed_days
    WHERE recorded_xid >= pg_snapshot_xmin(%(settled)s::pg_snapshot)
      AND NOT pg_visible_in_snapshot(recorded_xid, %(settled)s::pg_snapshot)
),
unseen AS (
    SELECT c.day, w.recorded_xid, w.since
    FROM written AS w
    JOIN resting AS r USING (input)
    JOIN computed AS c ON c.asset = r.asset AND c.as_of > w.first_at
        AND NOT pg_visible_in_snapshot(w.recorded_xid, c.seen)
        AND w.recorded_xid <> c.recorded_xid -- what a transaction wrote itself, it followed
),
running AS (
    SELECT c.day, f.recorded_xid, f.since
    FROM fresh AS f
    JOIN resting AS r USING (input)
    JOIN computed AS c ON c.asset = r.asset AND c.day = f.day AND f.last_at >= c.as_of
),
never_computed AS (
    SELECT f.day, f.recorded_xid, f.since
    FROM fresh AS f
    WHERE f.input = ANY(%(opening)s::text[]) AND f.last_at IS NOT NULL
      AND CASE f.input -- that something went leaves nothing to be computed
              WHEN 'trades' THEN f.trades > 0
              WHEN 'positions' THEN EXISTS (SELECT FROM positions AS p
                                            WHERE p.recorded_xid = f.recorded_xid AND day_of(p.entry_time) = f.day)
              WHEN 'marks' THEN EXISTS (SELECT FROM position_marks AS m
                                        WHERE m.recorded_xid = f.recorded_xid AND day_of(m.marked_at) = f.day)
              ELSE true
          END
      AND f.day BETWEEN %(horizon)s AND day_of(%(as_of)s)
      AND NOT EXISTS (SELECT FROM computed AS c WHERE c.day = f.day)
),
resting_on_older AS (
    SELECT c.day, u.recorded_xid, u.refreshed_at AS since
    FROM (SELECT DISTINCT day FROM recomputed) AS r
    JOIN computed AS c USING (day)
    JOIN refreshed_days AS u ON u.day = c.day AND c.rests_on ? u.asset
    WHERE (u.asset = %(base)s OR u.asset = ANY(%(assets)s::text[]))
      AND (c.rests_on ->> u.asset)::bigint IS DISTINCT FROM u.mark
),
moved_on AS (
    SELECT asset, day, mark, lag(mark) OVER earlier AS before, lag(recorded_xid) OVER earlier AS recorded_xid,
           lag(refreshed_at) OVER earlier AS since
    FROM computed
    WHERE asset = ANY(%(chained)s::text[]) AND EXISTS (SELECT FROM recomputed)
    WINDOW earlier AS (PARTITION BY asset ORDER BY day)
),
moved_on_from_older AS (
    SELECT c.day, m.recorded_xid, m.since
    FROM (SELECT DISTINCT ON (asset) * FROM moved_on WHERE before > mark ORDER BY asset, day) AS m
    JOIN computed AS c ON c.asset = m.asset AND c.day >= m.day
),
incomplete AS (
    SELECT b.day, b.recorded_xid, b.refreshed_at AS since
    FROM refreshed_days AS b
    LEFT JOIN (SELECT day, count(*) AS assets FROM computed GROUP BY 1) AS c USING (day)
    WHERE b.asset = %(base)s AND c.assets IS DISTINCT FROM cardinality(%(assets)s::text[])
),
ended AS (
    SELECT DISTINCT day, NULL::xid8 AS recorded_xid, day_end(day) AS since
    FROM computed
    WHERE as_of < day_end(day) AND day_end(day) <= %(as_of)s
),
stale AS (
    SELECT * FROM unseen
    UNION ALL SELECT * FROM running
    UNION ALL SELECT * FROM never_computed
    UNION ALL SELECT * FROM resting_on_older
    UNION ALL SELECT * FROM moved_on_from_older
    UNION ALL SELECT * FROM incomplete
    UNION ALL SELECT * FROM ended
),
-- Up to which snapshot every change has reached its days: this one where nothing is stale; where trades keep coming, the
-- one that the last day rests on, if what is stale is all younger.
candidates AS (
    SELECT pg_current_snapshot() AS seen, 2 AS age
    UNION ALL
    (SELECT seen, 1 FROM computed ORDER BY day DESC, mark LIMIT 1)
),
settling AS (
    SELECT s.seen
    FROM candidates AS s
    WHERE EXISTS (SELECT recorded_xid FROM fresh WHERE pg_visible_in_snapshot(recorded_xid, s.seen)
                  UNION ALL SELECT recorded_xid FROM recomputed WHERE pg_visible_in_snapshot(recorded_xid, s.seen))
      AND NOT EXISTS (SELECT FROM fresh WHERE latest_at >= %(as_of)s AND pg_visible_in_snapshot(recorded_xid, s.seen))
      AND NOT EXISTS (SELECT FROM stale WHERE recorded_xid IS NULL OR pg_visible_in_snapshot(recorded_xid, s.seen))
    ORDER BY s.age DESC LIMIT 1
)
SELECT coalesce((SELECT array_agg(DISTINCT day ORDER BY day) FROM stale), '{}') AS days,
       (SELECT coalesce(sum(trades), 0) FROM written
        WHERE recorded_xid IN (SELECT recorded_xid FROM stale))::bigint AS trades,
       (SELECT min(since) FROM stale) AS since,
       (SELECT max(recorded_xid::text::bigint) FROM stale) AS newest,
       (SELECT count(DISTINCT day) FROM computed) AS computed_days,
       (SELECT seen::text FROM settling) AS settled
