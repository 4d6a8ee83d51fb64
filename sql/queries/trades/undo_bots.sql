-- Bots that traded only in what left, and of which nobody decided anything, go. The others are as the rest tells of them: what
-- imports had called their strategy is what the first one that is left calls it, and the capital that it stated is what the
-- first one states that is left and knew the bot. What a person says otherwise stays.
DELETE FROM bots AS b
WHERE b.bot_id IN (SELECT bot_id FROM told_bots)
  AND NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)
  AND NOT EXISTS (SELECT FROM bot_events e WHERE e.bot_id = b.bot_id);
CREATE TEMP TABLE first_said ON COMMIT DROP AS
SELECT o.bot_id, o.strategies, f.import_id, f.strategy_id
FROM told_bots AS o
CROSS JOIN LATERAL (
    SELECT coalesce(s.import_id, 0) AS import_id, s.strategy_id
    FROM (SELECT t.import_id, t.trade_id, t.strategy_id FROM trades AS t WHERE t.bot_id = o.bot_id
          UNION ALL
          SELECT r.import_id, r.trade_id, r.content ->> 'strategy_id'
          FROM trade_revisions AS r JOIN trades AS t USING (trade_id)
          WHERE t.bot_id = o.bot_id AND coalesce(r.import_id, 0) < r.replaced_by) AS s
    ORDER BY 1, s.trade_id LIMIT 1) AS f;
UPDATE bots AS b SET strategy_id = f.strategy_id
FROM first_said AS f
WHERE b.bot_id = f.bot_id AND array_position(f.strategies, b.strategy_id) IS NOT NULL
  AND b.strategy_id IS DISTINCT FROM f.strategy_id;
WITH stated AS (
    SELECT i.import_id, n.bot_id, c.value::text::double precision AS capital
    FROM imports AS i
    CROSS JOIN LATERAL jsonb_each(i.capital) AS c
    JOIN bot_names AS n ON n.name = bot_name(c.key)
    WHERE i.undone_at IS NULL OR i.import_id = %(import_id)s
)
UPDATE bots AS b SET capital = (
    SELECT s.capital FROM stated AS s
    WHERE s.bot_id = b.bot_id AND s.import_id <> %(import_id)s AND s.import_id >= f.import_id
    ORDER BY s.import_id LIMIT 1)
FROM first_said AS f
WHERE b.bot_id = f.bot_id AND b.capital IN (SELECT s.capital FROM stated AS s WHERE s.bot_id = b.bot_id)
