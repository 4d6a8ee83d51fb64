-- Transactions of another server mean nothing here: its numbers may lie in our future, and what new trades get here would
-- then count as seen. Trades that every computed day had seen become older than every snapshot; all others are news.
ALTER TABLE trades DISABLE TRIGGER USER;
UPDATE trades SET recorded_xid = CASE
    WHEN pg_visible_in_snapshot(recorded_xid, coalesce((SELECT seen FROM settled_trades), '1:1:')) THEN '1'::xid8
    ELSE pg_current_xact_id()
END;
ALTER TABLE trades ENABLE TRIGGER USER;
UPDATE refreshed_days SET seen = '2:2:';
UPDATE settled_trades SET seen = '2:2:';
-- What learning has not seen yet is a change of now.
CREATE TEMP TABLE changed AS SELECT min(since) AS since FROM belief_changes;
DELETE FROM belief_changes;
SELECT note_belief_change(since) FROM changed;
DROP TABLE changed;
-- Checkpoints and folded months are only kept to save time, and are folded again.
DELETE FROM belief_checkpoints;
DELETE FROM belief_checkpoints_state;
DELETE FROM bot_months;
DELETE FROM bot_months_state;
