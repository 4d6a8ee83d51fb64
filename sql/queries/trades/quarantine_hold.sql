-- The same bad row of the same source is held once, however often its file is loaded.
INSERT INTO trade_quarantine (source, file_name, row_number, reason, column_name, message, original, layout, simulated)
SELECT %(source)s, %(file_name)s, row_number, reason, column_name, message, original, %(layout)s, %(simulated)s
FROM refused
ORDER BY row_number
ON CONFLICT (source, reason, md5(original::text)) DO NOTHING
