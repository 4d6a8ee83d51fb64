-- Takes from everybody what open_to_all.sql names, as far as this user may, and leaves it to those who need it: the owner
-- of our tables (of the database, where there are none yet), this user, and the roles that compute and decide. It holds for
-- this database alone.
DO $$
DECLARE
    base   text := quote_ident(current_database());
    needed text := (SELECT format('%I, %I, knowdefeat_pipeline', pg_get_userbyid(coalesce(relowner, datdba)), session_user)
                    FROM pg_database LEFT JOIN pg_class AS c ON c.oid = to_regclass('trades')
                    WHERE datname = current_database());
    item   text;
BEGIN
    IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %s TO %s', base, needed);
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC', base);
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOR item IN
            SELECT oid::regprocedure::text FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace
              AND (proname ~ '^pg_(try_)?advisory_(xact_)?lock' OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item);
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s, knowdefeat_web', item, needed);
        END LOOP;
    END IF;
END $$;
