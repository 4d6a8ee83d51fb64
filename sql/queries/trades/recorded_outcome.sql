-- The trade of a source by its id there, of the bot of that name.
SELECT t.*
FROM trades AS t
JOIN bot_names AS n USING (bot_id)
WHERE t.source = %(source)s AND t.source_trade_id = %(outcome)s AND n.name = bot_name(%(bot)s)
