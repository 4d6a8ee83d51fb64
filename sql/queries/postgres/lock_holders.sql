-- The sessions but this one that hold an advisory lock of this database from (%(high)s, %(first)s) to (%(high)s, %(last)s),
-- one of two numbers where %(kind)s is 2, of one where it is 1 (any lock where %(high)s is null): which role and program each
-- is, for how many seconds nothing was heard of it (null: the server does not tell this role), and whether its role is one
-- that computes or decides here.
SELECT a.pid, a.usename, a.application_name, extract(epoch FROM clock_timestamp() - a.state_change)::float8,
       EXISTS (SELECT FROM pg_roles AS r
               WHERE (r.rolname IN ('knowdefeat_pipeline', 'knowdefeat_web', current_user)
                      OR r.oid = (SELECT relowner FROM pg_class WHERE oid = to_regclass('trades')))
                 AND pg_has_role(a.usesysid, r.oid, 'MEMBER'))
FROM pg_stat_activity AS a
WHERE a.pid <> pg_backend_pid() AND a.pid IN (
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted
      AND (%(high)s::bigint IS NULL
           OR (objsubid = %(kind)s AND classid = %(high)s::bigint::oid
               AND objid BETWEEN %(first)s::bigint::oid AND %(last)s::bigint::oid))
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY a.pid
