-- The triggers of the table %(table)s that users made and that fire, and when.
SELECT tgname, tgenabled::text
FROM pg_trigger
WHERE tgrelid = to_regclass(%(table)s) AND NOT tgisinternal AND tgenabled <> 'D'
ORDER BY tgname
