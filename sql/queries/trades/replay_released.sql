-- How many rows (`scope`) are held no more: neither as they were nor for another reason.
SELECT count(*)
FROM trade_quarantine AS q
WHERE q.quarantine_id = ANY(%(scope)s) AND q.released_by = %(undone)s
  AND NOT EXISTS (
      SELECT FROM trade_quarantine AS h
      WHERE h.source = q.source AND h.reason IN ('conflicting_trade', 'another_bot', 'duplicate_trade', 'currency_mismatch')
        AND md5(h.original::text) = md5(q.original::text) AND h.status = 'held')
