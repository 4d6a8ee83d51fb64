-- Rows of imports that count which were refused in the light of other trades, as each of these imports has them: those that are
-- held, and those that a later correction recorded.
SELECT q.quarantine_id, q.source, q.simulated, q.original, q.reason, h.import_id, h.row_number, h.file_name, h.layout
FROM trade_quarantine AS q
CROSS JOIN LATERAL (
    SELECT q.import_id, q.row_number, q.file_name, q.layout
    UNION ALL
    SELECT i.import_id, r.row_number, i.file_name,
           CASE WHEN q.layout ->> 'format' = 'export' THEN q.layout ELSE i.layout END
    FROM quarantine_repeats AS r JOIN imports AS i USING (import_id)
    WHERE r.quarantine_id = q.quarantine_id
) AS h
WHERE (q.status = 'held' OR (q.status = 'released' AND EXISTS (
           SELECT FROM imports AS c WHERE c.import_id = q.released_by AND c.undone_at IS NULL)))
  AND (q.reason IN ('duplicate_trade', 'currency_mismatch')
       OR (q.source = ANY(%(sources)s) AND q.reason IN ('conflicting_trade', 'another_bot')))
  AND NOT EXISTS (SELECT FROM imports AS u WHERE u.import_id = h.import_id AND u.undone_at IS NOT NULL)
ORDER BY h.import_id NULLS FIRST, q.source, h.file_name, h.layout, h.row_number
