-- What an import that is undone had recorded leaves, or is that of the next one that has it just so; what is recorded anew leaves,
-- with all that is known of it (see undo_statements). What bots wrote themselves comes back at once.
UPDATE trades AS t SET import_id = l.heir FROM leaving AS l
WHERE t.trade_id = l.trade_id AND l.heir IS NOT NULL AND l.trade_id NOT IN (SELECT trade_id FROM replayed);
DELETE FROM trades WHERE trade_id IN (
    SELECT trade_id FROM leaving WHERE heir IS NULL UNION ALL SELECT trade_id FROM replayed);
DELETE FROM trade_revisions
WHERE import_id = %(import_id)s OR trade_id IN (SELECT trade_id FROM replayed);
UPDATE imports AS i SET repeats = i.repeats - p.trades
FROM (SELECT range_agg(int8range(trade_id, trade_id, '[]')) AS trades FROM replayed) AS p
WHERE i.repeats && p.trades;
CREATE TEMP TABLE contents ON COMMIT DROP AS
SELECT DISTINCT ON (trade_id) trade_id, source, simulated, import_id, content
FROM statements WHERE import_id IS NULL
ORDER BY trade_id, progress DESC
