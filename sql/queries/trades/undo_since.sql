-- The first day of the trades that leave, of which some may come back.
SELECT least(min(day_of(t.entry_time)), min(day_of(t.exit_time)))
FROM trades AS t
WHERE t.trade_id IN (SELECT trade_id FROM leaving UNION ALL SELECT trade_id FROM replayed)
