-- The skill of a day's bots over one window, the best first.
SELECT k.*, b.name AS bot, b.strategy_id
FROM bot_skill AS k
JOIN bots AS b USING (bot_id)
WHERE k.day = %(day)s AND k.time_window = %(window)s AND (%(bot_id)s::integer IS NULL OR k.bot_id = %(bot_id)s)
ORDER BY k.p_skill DESC, k.edge DESC, k.bot_id
