-- The open times and marks of the trades of `contents`, which leave to come back (see return_positions).
CREATE TEMP TABLE kept_positions ON COMMIT DROP AS
SELECT p.trade_id, p.import_id FROM positions AS p JOIN contents USING (trade_id);
CREATE TEMP TABLE kept_marks ON COMMIT DROP AS
SELECT m.trade_id, m.day, m.import_id, m.price, m.marked_at FROM position_marks AS m JOIN contents USING (trade_id)
