-- The earliest instant whose outcomes are not those that the snapshot %(seen)s saw; NULL if all are. As text, as it may be
-- -infinity: what is decided before anything was learned counts from the beginning.
SELECT min(changed_at)::text
FROM changes
WHERE input IN ('trades', 'ledger', 'regimes', 'strategies')
  AND recorded_xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(recorded_xid, %(seen)s::pg_snapshot)
