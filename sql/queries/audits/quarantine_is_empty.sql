-- Refused rows that still wait for somebody to release or discard them.
SELECT quarantine_id, file_name, row_number, reason, quarantined_at
FROM trade_quarantine
WHERE status = 'held'
ORDER BY quarantine_id
