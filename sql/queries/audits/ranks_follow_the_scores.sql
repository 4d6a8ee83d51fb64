-- Ranks other than 1 to n from the highest score to the lowest; of scores that rounding alone tells apart, by bot_id.
WITH placed AS (
    SELECT day, bot_id, rank, rank_score,
           row_number() OVER (PARTITION BY day ORDER BY round(rank_score::numeric, 9) DESC, bot_id) AS expected
    FROM bot_rankings
    WHERE day BETWEEN %(first)s AND %(last)s AND eligible
)
SELECT * FROM placed
WHERE rank IS DISTINCT FROM expected
ORDER BY day, expected
