-- Capital, stated or estimated, counts for the ranking alone: what that has followed is no change any more.
DELETE FROM input_changes AS i USING settled_changes AS s
WHERE i.input = 'capital' AND s.family = 'ranking' AND pg_visible_in_snapshot(i.recorded_xid, s.seen);
-- Marks are neither settled nor of a transaction that wrote changes: what they rest on is compared once more.
UPDATE refreshed_days SET seen = '2:2:', recorded_xid = '2';
UPDATE settled_changes SET seen = '2:2:';
-- Changes of inputs that somebody has not followed yet are changes of now.
WITH gone AS (DELETE FROM input_changes RETURNING input, since)
SELECT note_change(input, min(since)) FROM gone GROUP BY input;
-- Checkpoints and folded months are only kept to save time, and are folded again.
DELETE FROM belief_checkpoints;
DELETE FROM belief_checkpoints_state;
DELETE FROM bot_months;
DELETE FROM bot_months_state;
