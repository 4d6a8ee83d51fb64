-- Bots that traded only in what leaves, and of which nobody decided anything.
DELETE FROM bots AS b
WHERE b.bot_id IN (SELECT bot_id FROM leaving WHERE heir IS NULL)
  AND NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)
  AND NOT EXISTS (SELECT FROM bot_events e WHERE e.bot_id = b.bot_id)
