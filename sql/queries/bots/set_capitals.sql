-- What bots have to trade with.
UPDATE bots AS b SET capital = told.capital
FROM unnest(%(bots)s::integer[], %(capital)s::double precision[]) AS told (bot_id, capital)
WHERE b.bot_id = told.bot_id AND b.capital IS DISTINCT FROM told.capital
