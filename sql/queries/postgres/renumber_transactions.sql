-- Transactions of another server mean nothing here: its numbers may lie in our future, and what new rows get here would
-- then count as seen. What every computed day had followed becomes older than every snapshot; all else is news.
ALTER TABLE trades DISABLE TRIGGER USER;
UPDATE trades AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('ranking', 'market'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE trades ENABLE TRIGGER USER;
ALTER TABLE trade_scores DISABLE TRIGGER USER;
UPDATE trade_scores AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('ranking'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE trade_scores ENABLE TRIGGER USER;
ALTER TABLE price_bars DISABLE TRIGGER USER;
UPDATE price_bars AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('market'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE price_bars ENABLE TRIGGER USER;
ALTER TABLE order_book_levels DISABLE TRIGGER USER;
UPDATE order_book_levels AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('market'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE order_book_levels ENABLE TRIGGER USER;
ALTER TABLE weight_versions DISABLE TRIGGER USER;
UPDATE weight_versions AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('ranking'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE weight_versions ENABLE TRIGGER USER;
ALTER TABLE fund_settings DISABLE TRIGGER USER;
UPDATE fund_settings AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('ranking'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE fund_settings ENABLE TRIGGER USER;
ALTER TABLE bot_events DISABLE TRIGGER USER;
UPDATE bot_events AS t SET recorded_xid = CASE
    WHEN (SELECT bool_and(pg_visible_in_snapshot(t.recorded_xid, s.seen)) FROM settled_changes AS s WHERE s.family IN ('ranking'))
    THEN '1'::xid8 ELSE pg_current_xact_id() END;
ALTER TABLE bot_events ENABLE TRIGGER USER;
-- Marks are neither settled nor of a transaction that wrote changes: what they rest on is compared once more.
UPDATE refreshed_days SET seen = '2:2:', recorded_xid = '2';
UPDATE settled_changes SET seen = '2:2:';
-- Changes of inputs that somebody has not followed yet are changes of now.
CREATE TEMP TABLE changed AS SELECT input, min(since) AS since FROM input_changes GROUP BY input;
DELETE FROM input_changes;
SELECT note_change(input, since) FROM changed;
DROP TABLE changed;
-- Checkpoints and folded months are only kept to save time, and are folded again.
DELETE FROM belief_checkpoints;
DELETE FROM belief_checkpoints_state;
DELETE FROM bot_months;
DELETE FROM bot_months_state;
