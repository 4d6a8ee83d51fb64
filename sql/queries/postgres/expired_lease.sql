-- The session that holds the listener's advisory lock %(lock)s and has not renewed its lease, and since when that is over.
SELECT e.backend, e.expires_at
FROM listener_lease AS e
JOIN pg_locks AS l ON l.pid = e.backend
WHERE e.expires_at < clock_timestamp() AND l.pid <> pg_backend_pid()
  AND l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid) = (%(lock)s::oid, 0::oid)
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
