-- New trades of ids that were recorded before come back under the numbers that they have always had (see write_contents).
UPDATE incoming AS i SET other_trade = p.trade_id
FROM replayed AS p
WHERE i.verdict = 'insert' AND p.source = %(source)s AND (p.source_trade_id, p.bot_id) = (i.source_trade_id, i.bot_id);
CREATE TEMP TABLE contents ON COMMIT DROP AS
SELECT other_trade AS trade_id, %(source)s::text AS source, %(simulated)s::boolean AS simulated,
       %(import_id)s::bigint AS import_id, arriving_content(to_jsonb(i)) AS content
FROM incoming AS i
WHERE verdict = 'insert' AND other_trade IS NOT NULL
