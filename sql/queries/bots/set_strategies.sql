-- What the strategies of bots are called.
UPDATE bots AS b SET strategy_id = told.strategy
FROM unnest(%(bots)s::integer[], %(strategy)s::text[]) AS told (bot_id, strategy)
WHERE b.bot_id = told.bot_id AND b.strategy_id IS DISTINCT FROM told.strategy
