-- Active bots with closed trades by the end of a day that have no metrics on it, over the days that were computed.
SELECT d.day, b.bot_id
FROM (SELECT DISTINCT day, as_of FROM bot_metrics WHERE day BETWEEN %(first)s AND %(last)s) AS d
CROSS JOIN bots AS b
WHERE b.is_active
  AND EXISTS (SELECT FROM trades t WHERE t.bot_id = b.bot_id AND t.status = 'closed' AND t.exit_time <= d.as_of)
  AND NOT EXISTS (SELECT FROM bot_metrics m WHERE m.day = d.day AND m.bot_id = b.bot_id AND m.ticker = '*')
