-- How many trades and bots there are, roughly and at once: the first as the planner takes it, null where it does not know.
SELECT (SELECT nullif(reltuples, -1)::bigint FROM pg_class WHERE oid = 'trades'::regclass) AS trades,
       (SELECT count(*) FROM bots) AS bots
