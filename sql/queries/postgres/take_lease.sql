-- A lease of %(seconds)s for this session; those of sessions that ended go.
WITH gone AS (
    DELETE FROM session_leases AS l
    WHERE NOT EXISTS (SELECT FROM pg_stat_activity AS a
                      -- Of sessions of other roles a server may not tell when they began.
                      WHERE a.pid = l.backend AND coalesce(a.backend_start = l.began, true))
)
INSERT INTO session_leases (backend, began, expires_at)
SELECT pid, backend_start, clock_timestamp() + %(seconds)s * interval '1 second'
FROM pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT (backend, began) DO UPDATE SET expires_at = excluded.expires_at
RETURNING backend, began
