-- The roles %(fixed)s that the server has, in that order, then the bots' roles of this database, each with the bots that
-- it is bound to (null: any, or no bot's role).
SELECT r.rolname, r.rolcanlogin,
       (SELECT array_agg(coalesce(b.name, k.name, w.bot_id::text) ORDER BY w.bot_id < 0, abs(w.bot_id))
        FROM bot_writers AS w
        LEFT JOIN bots AS b USING (bot_id)
        LEFT JOIN bot_names AS k ON b.bot_id IS NULL AND k.bot_id = w.bot_id
        WHERE w.role_name = r.rolname HAVING bool_and(w.bot_id IS NOT NULL)) AS bots
FROM pg_roles AS r
WHERE r.rolname = ANY(%(fixed)s::text[]) OR r.rolname IN (SELECT role_name FROM bot_writers)
ORDER BY array_position(%(fixed)s::text[], r.rolname::text), r.rolname
