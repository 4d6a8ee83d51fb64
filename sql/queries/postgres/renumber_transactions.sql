-- Transactions of another server mean nothing here: its numbers may lie in our future, and what new trades get here would
-- then count as seen. Trades, scores and market data that every computed day had seen become older than every snapshot; all others are news.
ALTER TABLE trades DISABLE TRIGGER USER;
UPDATE trades SET recorded_xid = CASE
    WHEN pg_visible_in_snapshot(recorded_xid, coalesce((SELECT seen FROM settled_trades), '1:1:')) THEN '1'::xid8
    ELSE pg_current_xact_id()
END;
ALTER TABLE trades ENABLE TRIGGER USER;
ALTER TABLE trade_scores DISABLE TRIGGER USER;
UPDATE trade_scores SET recorded_xid = CASE
    WHEN pg_visible_in_snapshot(recorded_xid, coalesce((SELECT seen FROM settled_trades), '1:1:')) THEN '1'::xid8
    ELSE pg_current_xact_id()
END;
ALTER TABLE trade_scores ENABLE TRIGGER USER;
ALTER TABLE price_bars DISABLE TRIGGER USER;
UPDATE price_bars SET recorded_xid = CASE
    WHEN pg_visible_in_snapshot(recorded_xid, coalesce((SELECT seen FROM settled_market), '1:1:')) THEN '1'::xid8
    ELSE pg_current_xact_id()
END;
ALTER TABLE price_bars ENABLE TRIGGER USER;
ALTER TABLE order_book_levels DISABLE TRIGGER USER;
UPDATE order_book_levels SET recorded_xid = CASE
    WHEN pg_visible_in_snapshot(recorded_xid, coalesce((SELECT seen FROM settled_market), '1:1:')) THEN '1'::xid8
    ELSE pg_current_xact_id()
END;
ALTER TABLE order_book_levels ENABLE TRIGGER USER;
UPDATE refreshed_days SET seen = '2:2:';
UPDATE settled_trades SET seen = '2:2:';
UPDATE settled_market SET seen = '2:2:';
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
