-- The ledger as people read it, the latest entry first.
SELECT entry_id, kind, source, discount, strategy_id, reason, nullif(in_force_from, '-infinity') AS in_force_from,
       recorded_at, (SELECT count(*) FROM backtest_outcomes AS o WHERE o.entry_id = l.entry_id) AS outcomes
FROM belief_ledger AS l
ORDER BY entry_id DESC
