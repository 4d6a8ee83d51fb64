-- The figures of each day from $1 to $2, of the bot $3; each may be NULL.
SELECT b.name AS bot, b.quote_currency, m.*
FROM bot_metrics AS m
JOIN bots AS b USING (bot_id)
WHERE ($1::date IS NULL OR m.day >= $1::date) AND ($2::date IS NULL OR m.day <= $2::date)
  AND ($3::int IS NULL OR m.bot_id = $3::int)
ORDER BY m.day, m.bot_id, m.ticker
