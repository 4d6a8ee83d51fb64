-- The lifetime pnl on the $3 days up to $1 of the $2 bots that gained most, in percent of capital, in the 30 days to $1.
WITH best AS (
    SELECT bot_id, coalesce(name, bot_id::text) AS bot, m.capital, capital_is_estimated
    FROM bot_metrics AS m LEFT JOIN bots USING (bot_id)
    WHERE day = $1 AND ticker = '*' AND total_pnl IS NOT NULL AND m.capital > 0
    ORDER BY total_pnl / m.capital DESC, bot_id
    LIMIT $2
)
SELECT day, bot_id, bot, lifetime_pnl, best.capital, best.capital_is_estimated
FROM best JOIN bot_metrics USING (bot_id)
WHERE ticker = '*' AND day > $1 - $3::integer AND day <= $1
ORDER BY day, bot_id
