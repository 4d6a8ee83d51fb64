-- What bots (%(bots)s, null for all) made on each of the %(days)s days up to %(day)s on which they closed a trade.
SELECT bot_id, day, sum(pnl) AS pnl
FROM bot_days_rows
WHERE day > %(day)s - %(days)s::integer AND day <= %(day)s AND (%(bots)s::integer[] IS NULL OR bot_id = ANY(%(bots)s))
GROUP BY bot_id, day
ORDER BY bot_id, day
