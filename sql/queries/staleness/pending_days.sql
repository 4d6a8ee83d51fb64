-- Which days lack trades: closed trades, or scores of theirs, that %(asset)s of a day has not seen, one statement and thus
-- one snapshot. A trade touches its own day and every computed day after it. Days from %(horizon)s on count even if never computed.
-- An exit at midnight belongs to the day that ends, as in every window.
WITH settled AS (
    SELECT coalesce((SELECT seen FROM settled_trades), '1:1:'::pg_snapshot) AS seen
),
fresh AS (
    SELECT (exit_time AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, recorded_xid,
           count(*) AS trades, max(exit_time) AS last_exit, min(recorded_at) AS since
    FROM trades
    WHERE status = 'closed'
      AND recorded_xid >= (SELECT pg_snapshot_xmin(seen) FROM settled)
      AND NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled))
    GROUP BY 1, 2
    UNION ALL
    SELECT (t.exit_time AT TIME ZONE 'UTC' - interval '1 microsecond')::date, s.recorded_xid, 0, max(t.exit_time),
           min(s.recorded_at)
    FROM trade_scores AS s
    JOIN trades AS t USING (trade_id)
    WHERE t.status = 'closed'
      AND s.recorded_xid >= (SELECT pg_snapshot_xmin(seen) FROM settled)
      AND NOT pg_visible_in_snapshot(s.recorded_xid, (SELECT seen FROM settled))
    GROUP BY 1, 2
),
computed AS (
    SELECT day, as_of, seen FROM refreshed_days WHERE asset = %(asset)s
),
written AS (
    SELECT recorded_xid, min(day) AS first_day, sum(trades) AS trades, min(since) AS since FROM fresh GROUP BY 1
),
lacking AS (
    SELECT c.day, w.trades, w.since, w.recorded_xid
    FROM written AS w
    JOIN computed AS c ON c.day >= w.first_day AND NOT pg_visible_in_snapshot(w.recorded_xid, c.seen)
    UNION ALL
    SELECT f.day, f.trades, f.since, f.recorded_xid
    FROM fresh AS f
    LEFT JOIN computed AS c USING (day)
    WHERE f.last_exit <= %(now)s
      AND (f.last_exit > c.as_of OR c.day IS NULL AND f.day BETWEEN %(horizon)s AND %(today)s)
),
-- A day that ended since it was computed: its figures are still those of an instant of it.
unfinished AS (
    SELECT day FROM computed
    WHERE day < %(today)s AND as_of < (day + 1)::timestamp AT TIME ZONE 'UTC'
)
SELECT (SELECT min(day) FROM (SELECT day FROM lacking UNION ALL SELECT day FROM unfinished) AS d) AS first_day,
       greatest((SELECT max(day) FROM lacking), (SELECT max(day) FROM computed)) AS last_day,
       (SELECT coalesce(sum(trades), 0) FROM written AS w
        WHERE EXISTS (SELECT FROM lacking AS l WHERE l.recorded_xid = w.recorded_xid))::bigint AS trades,
       least((SELECT min(since) FROM lacking),
             (SELECT (min(day) + 1)::timestamp AT TIME ZONE 'UTC' FROM unfinished)) AS since,
       (SELECT max(recorded_xid::text::bigint) FROM lacking) AS newest,
       (SELECT count(*) FROM computed) AS computed_days,
       -- Up to which snapshot every trade has reached its days: this one where nothing lacks; where trades keep coming, the
       -- one that the last day rests on, if what lacks is all younger.
       (SELECT s.seen::text
        FROM (SELECT pg_current_snapshot() AS seen, 2 AS age
              UNION ALL (SELECT seen, 1 FROM computed ORDER BY day DESC LIMIT 1)) AS s
        WHERE EXISTS (SELECT FROM fresh WHERE pg_visible_in_snapshot(recorded_xid, s.seen))
          AND NOT EXISTS (SELECT FROM fresh WHERE last_exit > %(now)s AND pg_visible_in_snapshot(recorded_xid, s.seen))
          AND NOT EXISTS (SELECT FROM lacking WHERE pg_visible_in_snapshot(recorded_xid, s.seen))
        ORDER BY s.age DESC LIMIT 1) AS settled
