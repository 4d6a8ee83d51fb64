-- Every bot, ascending, and the first bot of its strategy; one without is a strategy of its own.
SELECT coalesce(array_agg(bot_id), '{}'), coalesce(array_agg(leader), '{}')
FROM (
    SELECT bot_id, leader
    FROM bot_strategies
    JOIN (SELECT strategy_id, min(bot_id) AS leader FROM bot_strategies GROUP BY strategy_id) AS led USING (strategy_id)
    ORDER BY bot_id
) AS of_bots
