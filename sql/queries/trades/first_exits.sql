-- When each of the given bots closed its first trade, as the given snapshot shows them; bots without a closed trade are absent.
SELECT bot_id, first_exit
FROM unnest(%s::integer[]) AS b (bot_id)
CROSS JOIN LATERAL (
    SELECT min(exit_time) AS first_exit
    FROM trades AS t
    WHERE t.bot_id = b.bot_id AND t.status = 'closed' AND pg_visible_in_snapshot(t.recorded_xid, %s::pg_snapshot)
) AS traded
WHERE first_exit IS NOT NULL
