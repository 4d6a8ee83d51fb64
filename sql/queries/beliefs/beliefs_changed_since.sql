-- The earliest instant whose outcomes are not those that the snapshot %(seen)s saw; NULL if all are.
SELECT least(
    (SELECT min(exit_time) FROM trades
     WHERE status = 'closed' AND recorded_xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(recorded_xid, %(seen)s::pg_snapshot)),
    (SELECT min(since) FROM belief_changes
     WHERE recorded_xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(recorded_xid, %(seen)s::pg_snapshot)))
