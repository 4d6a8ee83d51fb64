-- The weights of the last day before $1 that has any.
SELECT day, as_of, strategy_id, weight, p_trending, p_ranging, p_volatile
FROM strategy_weights
WHERE day = (SELECT max(day) FROM strategy_weights WHERE day < $1)
ORDER BY strategy_id
