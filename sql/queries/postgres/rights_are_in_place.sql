-- Whether the roles %(roles)s exist and have what this database gives them; null: there is nothing to give rights on yet.
SELECT CASE WHEN to_regclass('bot_writers') IS NOT NULL THEN coalesce(
    (SELECT count(*) = cardinality(%(roles)s::text[])
            AND bool_and(CASE rolname
                WHEN %(reader)s THEN has_schema_privilege(oid, 'report', 'USAGE')
                ELSE has_column_privilege(oid, to_regclass('trades'), 'bot_id', 'INSERT') END)
     FROM pg_roles WHERE rolname = ANY(%(roles)s)), false) END
