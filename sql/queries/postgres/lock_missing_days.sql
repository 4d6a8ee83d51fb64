-- Take those of the advisory locks (%(lock)s, %(first)s to %(last)s) that this session has not, in order.
SELECT pg_advisory_lock(%(lock)s, day)
FROM (
    SELECT day
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS day
    WHERE NOT EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_backend_pid()
          AND l.objsubid = 2 AND (l.classid, l.objid) = (%(lock)s::oid, day::oid)
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    ORDER BY day
) AS missing
