-- One quarantined row.
SELECT quarantine_id, source, file_name, row_number, reason, column_name, message, original, layout, status, note,
       quarantined_at, settled_at, simulated, import_id
FROM trade_quarantine
WHERE quarantine_id = %(quarantine_id)s
