-- Active bots with closed trades by the end of a day that have no metrics on it, over the days that were computed.
WITH traded AS (
    SELECT bot_id, (SELECT min(exit_time) FROM trades t WHERE t.bot_id = b.bot_id AND t.status = 'closed') AS first_exit
    FROM bots AS b
    WHERE is_active
)
SELECT d.day, b.bot_id
FROM (SELECT DISTINCT day, as_of FROM bot_metrics WHERE day BETWEEN %(first)s AND %(last)s) AS d
JOIN traded AS b ON b.first_exit <= d.as_of
LEFT JOIN bot_metrics AS m ON m.day = d.day AND m.bot_id = b.bot_id AND m.ticker = '*'
WHERE m.bot_id IS NULL
