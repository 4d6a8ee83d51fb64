-- The earliest instant whose outcomes are not those that the snapshot %(seen)s saw; NULL if all are.
SELECT min(changed_at)
FROM changes
WHERE input IN ('trades', 'ledger', 'regimes', 'strategies')
  AND recorded_xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(recorded_xid, %(seen)s::pg_snapshot)
