-- How imports were loaded of which rows are recorded anew, how many trades of each (`statements`), by source.
WITH recorded AS (
    SELECT import_id, source, count(*) AS statements, bool_or(simulated) AS simulated
    FROM statements WHERE import_id IS NOT NULL GROUP BY import_id, source
)
SELECT i.import_id, coalesce(r.source, i.source) AS source, i.file_name, i.replaces,
       coalesce((i.layout ->> 'holds_duplicates')::boolean, false) AS holds_duplicates, i.imported_at::text AS imported_at,
       coalesce(i.marked_at, i.imported_at)::text AS marked_at, coalesce(r.statements, 0) AS statements,
       coalesce(r.simulated, false) AS simulated
FROM imports AS i LEFT JOIN recorded AS r USING (import_id)
WHERE r.import_id IS NOT NULL OR i.import_id = ANY(%(held)s)
ORDER BY i.import_id, 2
