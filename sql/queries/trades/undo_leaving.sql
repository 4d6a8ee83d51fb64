-- The trades that are what the import says, and the next import that has them just so: its they become.
CREATE TEMP TABLE leaving ON COMMIT DROP AS
SELECT t.trade_id, t.bot_id, t.source, t.source_trade_id, t.strategy_id, t.ticker, t.entry_time, (
           SELECT min(o.import_id) FROM imports AS o
           WHERE o.import_id > %(import_id)s AND o.undone_at IS NULL AND o.repeats @> t.trade_id) AS heir
FROM trades AS t
WHERE t.import_id = %(import_id)s
