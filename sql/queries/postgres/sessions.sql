-- Who is connected to this database: each role, whether it is a superuser, and its sessions.
SELECT a.usename, r.rolsuper, count(*)
FROM pg_stat_activity AS a
JOIN pg_roles AS r ON r.oid = a.usesysid
WHERE a.datname = current_database()
GROUP BY a.usename, r.rolsuper
ORDER BY a.usename
