-- The trades of an id in its source, of one bot or of each (NULL), as they were recorded, with the names of their bots.
SELECT trade_content(t) AS content, b.name
FROM trades AS t JOIN bots AS b USING (bot_id)
WHERE t.source = %(source)s AND t.source_trade_id = %(source_trade_id)s
  AND (%(bot_id)s::integer IS NULL OR t.bot_id = %(bot_id)s)
ORDER BY b.name
