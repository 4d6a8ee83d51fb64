-- How imports were loaded of which rows are recorded anew, how many trades of each (`statements`), by source, and the capital
-- that each stated of its bots, by every name that these have: rows that are held as they were recorded have the present one.
WITH recorded AS (
    SELECT import_id, source, count(*) AS statements, bool_or(simulated) AS simulated
    FROM statements WHERE import_id IS NOT NULL GROUP BY import_id, source
)
SELECT i.import_id, coalesce(r.source, i.source) AS source, i.file_name, i.replaces,
       coalesce((i.layout ->> 'holds_duplicates')::boolean, false) AS holds_duplicates, i.imported_at::text AS imported_at,
       coalesce(i.marked_at, i.imported_at)::text AS marked_at, coalesce(r.statements, 0) AS statements,
       coalesce(r.simulated, false) AS simulated,
       coalesce((SELECT jsonb_object_agg(n.name, c.value)
                 FROM jsonb_each(i.capital) AS c
                 CROSS JOIN LATERAL (
                     SELECT c.key AS name UNION SELECT bot_name(c.key)
                     UNION SELECT a.name FROM bot_names AS n JOIN bot_names AS a USING (bot_id) WHERE n.name = bot_name(c.key)
                 ) AS n), '{}') AS capital
FROM imports AS i LEFT JOIN recorded AS r USING (import_id)
WHERE r.import_id IS NOT NULL OR i.import_id = ANY(%(held)s)
ORDER BY i.import_id, 2
