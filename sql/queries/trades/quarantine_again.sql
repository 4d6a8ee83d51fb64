-- Held rows of a source that were refused in the light of other trades.
SELECT quarantine_id, source, file_name, row_number, reason, column_name, message, original, layout, status, note,
       quarantined_at, settled_at, simulated, import_id
FROM trade_quarantine
WHERE status = 'held' AND source = %(source)s AND reason IN ('conflicting_trade', 'another_bot', 'duplicate_trade', 'currency_mismatch')
  AND (%(among)s::bigint[] IS NULL OR quarantine_id = ANY(%(among)s))
ORDER BY reason = 'another_bot', import_id, file_name, layout, row_number
FOR UPDATE
