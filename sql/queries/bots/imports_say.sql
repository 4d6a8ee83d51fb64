-- What imports say of bots (`names`), and what stands: what the first import that recorded a trade of the bot calls its strategy,
-- and the first capital that one states from that import on, as one that is stated of a bot which nobody knows is not kept.
-- Imports that are undone say nothing, but `undone` does.
WITH asked AS (
    SELECT DISTINCT n.bot_id FROM unnest(%(names)s::text[]) AS a (name) JOIN bot_names AS n ON n.name = bot_name(a.name)
),
first_said AS (
    SELECT a.bot_id, f.import_id, f.strategy_id
    FROM asked AS a
    LEFT JOIN LATERAL (
        SELECT coalesce(s.import_id, 0) AS import_id, s.strategy_id
        FROM (SELECT t.import_id, t.trade_id, t.entry_time, t.strategy_id FROM trades AS t WHERE t.bot_id = a.bot_id
              UNION ALL
              SELECT r.import_id, r.trade_id, (r.content ->> 'entry_time')::timestamptz, r.content ->> 'strategy_id'
              FROM trade_revisions AS r JOIN trades AS t USING (trade_id)
              WHERE t.bot_id = a.bot_id AND coalesce(r.import_id, 0) < r.replaced_by) AS s
        ORDER BY 1, s.entry_time DESC, s.trade_id LIMIT 1) AS f ON true
),
stated AS (
    SELECT DISTINCT ON (f.bot_id) f.bot_id, c.value::text::double precision AS capital
    FROM imports AS i
    CROSS JOIN LATERAL jsonb_each(i.capital) AS c
    JOIN bot_names AS n ON n.name = bot_name(c.key)
    JOIN first_said AS f ON f.bot_id = n.bot_id AND i.import_id >= f.import_id
    WHERE i.capital <> '{}' AND (i.undone_at IS NULL OR i.import_id = %(undone)s)
    ORDER BY f.bot_id, i.import_id
)
SELECT b.bot_id, f.strategy_id AS said_strategy, s.capital AS said_capital, b.strategy_id, b.capital
FROM bots AS b JOIN first_said AS f USING (bot_id) LEFT JOIN stated AS s USING (bot_id)
