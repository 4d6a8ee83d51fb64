-- The same bad row of the same source is held once, however often its file is loaded. One that was settled because an import
-- was undone is held again.
INSERT INTO trade_quarantine (
    source, file_name, row_number, reason, column_name, message, original, layout, simulated, import_id)
SELECT %(source)s, %(file_name)s, row_number, reason, column_name, message, original, %(layout)s, %(simulated)s, %(import_id)s
FROM (SELECT DISTINCT ON (reason, md5(original::text)) * FROM refused ORDER BY reason, md5(original::text), row_number) AS r
ORDER BY row_number
ON CONFLICT (source, reason, md5(original::text)) DO UPDATE
    SET status = 'held', note = NULL, settled_at = NULL, released_by = NULL, import_id = excluded.import_id,
        file_name = excluded.file_name, row_number = excluded.row_number, layout = excluded.layout,
        message = excluded.message,
        quarantined_at = CASE trade_quarantine.status WHEN 'discarded' THEN now() ELSE trade_quarantine.quarantined_at END
    WHERE (trade_quarantine.status = 'discarded'
           AND trade_quarantine.import_id IN (SELECT import_id FROM imports WHERE undone_at IS NOT NULL))
       OR (trade_quarantine.status = 'released'
           AND trade_quarantine.released_by IN (SELECT import_id FROM imports WHERE undone_at IS NOT NULL))
