-- Refused rows of an import that are in quarantine already as those of another.
INSERT INTO quarantine_repeats (quarantine_id, import_id, row_number)
SELECT q.quarantine_id, %(import_id)s, min(r.row_number)
FROM refused AS r
JOIN trade_quarantine AS q
    ON q.source = %(source)s AND q.reason = r.reason AND md5(q.original::text) = md5(r.original::text)
WHERE q.import_id <> %(import_id)s
GROUP BY q.quarantine_id
ON CONFLICT DO NOTHING
