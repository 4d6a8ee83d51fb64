-- What everybody who is connected to this database may do and need not: advisory locks, with which anybody could hold up
-- the pipeline, temporary tables and large objects, with which anybody could fill the disk; and whether this user may take
-- it from them.
WITH functions AS (
    SELECT bool_or(has_function_privilege('public', oid, 'EXECUTE')) FILTER (WHERE proname ~ '_lock') AS lock,
           bool_or(has_function_privilege('public', oid, 'EXECUTE')) FILTER (WHERE proname ~ '^lo_') AS make_objects
    FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
      AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
)
SELECT d.open, d.may FROM functions, LATERAL (VALUES
    ('advisory locks', lock, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)),
    ('temporary tables', has_database_privilege('public', current_database(), 'TEMPORARY'),
     (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())),
    ('large objects', make_objects, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
) AS d (open, is_open, may)
WHERE d.is_open
