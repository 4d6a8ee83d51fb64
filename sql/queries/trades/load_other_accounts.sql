-- Bots that get new trades here and have some of another source: by their first trade, as one account follows another or not.
SELECT i.bot_id, t.source
FROM (SELECT DISTINCT bot_id FROM incoming WHERE verdict = 'insert') AS i
CROSS JOIN LATERAL (SELECT source FROM trades WHERE bot_id = i.bot_id ORDER BY entry_time LIMIT 1) AS t
WHERE t.source <> %(source)s
ORDER BY i.bot_id
