-- What each bot was allocated on each day from $1 to $2, of the bot $3; each may be NULL. Amounts of at most 14 digits are
-- the same in double precision.
SELECT a.day, a.as_of, b.name AS bot, a.bot_id, a.quote_currency, a.ticker, a.rank, a.target, a.amount::float8 AS amount,
       a.decision, a.reason, a.settings_version, a.drawdown, a.daily_loss, a.capital_is_estimated
FROM fund_allocations AS a
JOIN bots AS b USING (bot_id)
WHERE ($1::date IS NULL OR a.day >= $1::date) AND ($2::date IS NULL OR a.day <= $2::date)
  AND ($3::int IS NULL OR a.bot_id = $3::int)
ORDER BY a.day, a.rank NULLS LAST, a.bot_id
