-- Bots that traded only in what left, and of which nobody decided anything, go.
DELETE FROM bots AS b
WHERE b.bot_id IN (SELECT bot_id FROM told_bots)
  AND NOT EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id)
  AND NOT EXISTS (SELECT FROM bot_events e WHERE e.bot_id = b.bot_id)
