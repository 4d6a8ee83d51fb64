-- The ranking of each day from $1 to $2, of the bot $3; each may be NULL.
SELECT b.name AS bot, b.strategy_id, b.quote_currency, r.*
FROM bot_rankings AS r
JOIN bots AS b USING (bot_id)
WHERE ($1::date IS NULL OR r.day >= $1::date) AND ($2::date IS NULL OR r.day <= $2::date)
  AND ($3::int IS NULL OR r.bot_id = $3::int)
ORDER BY r.day, r.rank NULLS LAST, r.bot_id
