-- The other sessions of this database that have not renewed their lease: which program each is, since when its lease is
-- over, and whether this role may end it.
SELECT l.backend, a.application_name, l.expires_at, pg_has_role(a.usesysid, 'USAGE')
FROM session_leases AS l
JOIN pg_stat_activity AS a ON (a.pid, a.backend_start) = (l.backend, l.began)
WHERE l.expires_at < clock_timestamp() AND a.pid <> pg_backend_pid() AND a.datname = current_database()
ORDER BY l.expires_at
