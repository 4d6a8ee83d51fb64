-- When each active bot closed its first trade; bots without a closed trade are absent.
SELECT bot_id, first_exit
FROM (
    SELECT bot_id, (SELECT min(exit_time) FROM trades t WHERE t.bot_id = b.bot_id AND t.status = 'closed') AS first_exit
    FROM bots AS b
    WHERE is_active
) AS traded
WHERE first_exit IS NOT NULL
