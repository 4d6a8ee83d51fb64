-- What the days %(first)s to %(last)s of an asset rest on: those that are given, and no others. Each gets a new mark;
-- `replaced` is the one that it had.
WITH given AS (
    SELECT day, as_of, seen::pg_snapshot AS seen, rests_on
    FROM jsonb_to_recordset(%(days)s) AS d (day date, as_of timestamptz, seen text, rests_on jsonb)  -- noqa: AL05
),
dropped AS (
    DELETE FROM refreshed_days
    WHERE asset = %(asset)s AND day BETWEEN %(first)s AND %(last)s AND day <> ALL (SELECT day FROM given)
)
INSERT INTO refreshed_days (asset, day, as_of, seen, rests_on)
SELECT %(asset)s, day, as_of, seen, rests_on FROM given ORDER BY day
ON CONFLICT (asset, day) DO UPDATE
SET as_of = excluded.as_of, seen = excluded.seen, rests_on = excluded.rests_on, mark = DEFAULT,
    recorded_xid = pg_current_xact_id(), refreshed_at = clock_timestamp()
RETURNING mark, (SELECT r.mark FROM refreshed_days AS r WHERE (r.asset, r.day) = (refreshed_days.asset, refreshed_days.day)) AS replaced
