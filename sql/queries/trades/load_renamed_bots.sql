-- Bots that nobody knew, whose trades are another bot's in this source by id and entry: of the first trades of each file, as one
-- name is wrong for all of them or for none.
SELECT i.bot_id, b.name, count(*)
FROM (SELECT * FROM incoming WHERE verdict = 'insert' ORDER BY row_number LIMIT 1000) AS i
JOIN trades AS t ON t.source = %(source)s AND t.source_trade_id = i.source_trade_id AND t.bot_id <> i.bot_id
    AND (t.ticker, t.direction, t.entry_time, t.entry_price) = (i.ticker, i.direction, i.entry_time, i.entry_price)
JOIN bots AS b ON b.bot_id = t.bot_id
WHERE NOT EXISTS (SELECT FROM bots AS n WHERE n.bot_id = i.bot_id)
GROUP BY i.bot_id, b.name
ORDER BY count(*) DESC, b.name
