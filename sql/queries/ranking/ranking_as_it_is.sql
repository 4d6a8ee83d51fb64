-- Beside the ranking of a day as it would be: who each bot is, and its place and score as they were recorded.
SELECT r.bot_id, b.name AS bot, s.strategy_id AS strategy, r.rank AS rank_before, r.rank_score AS rank_score_before,
       r.weight_version, r.as_of
FROM bot_rankings AS r
JOIN bots AS b USING (bot_id)
JOIN bot_strategies AS s USING (bot_id)
WHERE r.day = %(day)s
