-- Held fills of a source that make no trade with what their files have.
SELECT quarantine_id, original FROM trade_quarantine
WHERE source = %(source)s AND status = 'held' AND reason IN ('fills_missing', 'overlapping_trade')
ORDER BY quarantine_id
FOR UPDATE
