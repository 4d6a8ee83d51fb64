-- When each of the given bots closed its first trade, as the given snapshot shows them; bots without one are absent.
SELECT bot_id, first_exit
FROM unnest(%s::integer[]) AS b (bot_id)
CROSS JOIN LATERAL (
    SELECT min(exit_time) AS first_exit
    FROM closed_trades AS t
    WHERE t.bot_id = b.bot_id AND pg_visible_in_snapshot(t.recorded_xid, %s::pg_snapshot)
) AS traded
WHERE first_exit IS NOT NULL
