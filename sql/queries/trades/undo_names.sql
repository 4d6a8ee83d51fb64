-- The names of the bots that an undoing is about: those of trades that leave, and those of held rows that may be recorded.
SELECT b.name FROM bots AS b JOIN told_bots USING (bot_id)
UNION
SELECT coalesce(b.name, h.bot)
FROM held_again AS h JOIN disputed USING (source, source_trade_id) LEFT JOIN bots AS b USING (bot_id)
