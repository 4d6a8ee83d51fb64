-- The refused rows of an import, also those that were in quarantine already as another's.
SELECT q.quarantine_id, coalesce(r.row_number, q.row_number) AS row, q.column_name AS column, q.reason, q.message, q.status
FROM trade_quarantine AS q
LEFT JOIN quarantine_repeats AS r ON r.quarantine_id = q.quarantine_id AND r.import_id = %(import_id)s
WHERE q.import_id = %(import_id)s OR r.import_id IS NOT NULL
ORDER BY row, q.quarantine_id
LIMIT %(limit)s
