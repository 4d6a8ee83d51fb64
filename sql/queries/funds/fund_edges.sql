-- The edge believed of each bot's strategy on the days %(first)s to %(last)s, as things stood.
SELECT s.day, b.bot_id, s.edge
FROM strategy_beliefs AS s
JOIN bot_strategies AS b USING (strategy_id)
WHERE s.day BETWEEN %(first)s AND %(last)s AND s.regime = '*'
