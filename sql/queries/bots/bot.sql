-- One bot as it stands.
SELECT b.bot_id, b.name AS bot, b.strategy_id, b.account, b.quote_currency, c.capital, c.capital_is_estimated, b.is_active
FROM bots AS b JOIN bot_capitals AS c USING (bot_id)
WHERE b.bot_id = %s
