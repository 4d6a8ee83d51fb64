-- What sessions of the roles %(roles)s begin with in this database: a row per role and setting, as NAME=VALUE.
SELECT r.rolname, unnest(s.setconfig)
FROM pg_db_role_setting AS s
JOIN pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
WHERE r.rolname = ANY(%(roles)s::text[]) AND (s.setdatabase = 0 OR d.datname = current_database())
ORDER BY 1, 2
