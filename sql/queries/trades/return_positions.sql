-- Trades that came back were open when they were, whoever says now how they ended.
INSERT INTO positions (trade_id, ticker, entry_time, exit_time, import_id)
SELECT t.trade_id, t.ticker, t.entry_time, t.exit_time, k.import_id
FROM kept_positions AS k JOIN trades AS t USING (trade_id)
ON CONFLICT (trade_id) DO UPDATE SET import_id = excluded.import_id;
INSERT INTO position_marks (trade_id, day, import_id, price, marked_at)
SELECT k.trade_id, k.day, k.import_id, k.price, k.marked_at
FROM kept_marks AS k JOIN positions USING (trade_id)
ON CONFLICT DO NOTHING
