-- Quarantined rows in the order in which they were refused; a status of NULL lists all.
SELECT quarantine_id, source, file_name, row_number, reason, column_name, message, original, layout, status, note,
       quarantined_at, settled_at, simulated, import_id
FROM trade_quarantine
WHERE (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND quarantine_id > %(after)s
ORDER BY quarantine_id
LIMIT %(limit)s
