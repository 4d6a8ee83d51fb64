-- The average true range at the entries of the trades in the table `ranged`, where it is not recorded just so.
MERGE INTO trade_ranges AS t
USING (SELECT r.* FROM ranged AS r JOIN trades USING (trade_id) ORDER BY trade_id) AS r ON r.trade_id = t.trade_id
WHEN MATCHED AND r.average_true_range IS NULL THEN DELETE
WHEN MATCHED AND t.average_true_range <> r.average_true_range THEN
    UPDATE SET average_true_range = r.average_true_range
WHEN NOT MATCHED AND r.average_true_range IS NOT NULL THEN
    INSERT (trade_id, average_true_range) VALUES (r.trade_id, r.average_true_range)
