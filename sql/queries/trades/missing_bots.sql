-- The bots that trades name and that the table of bots lacks, found by hopping through the index.
WITH RECURSIVE hop AS (
    SELECT min(bot_id) AS bot_id FROM trades
    UNION ALL
    SELECT (SELECT min(bot_id) FROM trades WHERE bot_id > hop.bot_id) FROM hop WHERE hop.bot_id IS NOT NULL
)
SELECT bot_id FROM hop WHERE bot_id IS NOT NULL AND NOT EXISTS (SELECT FROM bots AS b WHERE b.bot_id = hop.bot_id)
ORDER BY bot_id
