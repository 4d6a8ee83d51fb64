-- The lifetime pnl on the $3 days up to $1 of the $2 bots that gained most, in percent of capital, in the 30 days to $1.
WITH best AS (
    SELECT bot_id, capital
    FROM bot_metrics JOIN bots USING (bot_id)
    WHERE day = $1 AND ticker = '*' AND total_pnl IS NOT NULL
    ORDER BY total_pnl / capital DESC, bot_id
    LIMIT $2
)
SELECT day, bot_id, lifetime_pnl, capital
FROM best JOIN bot_metrics USING (bot_id)
WHERE ticker = '*' AND day > $1 - $3::integer AND day <= $1
ORDER BY day, bot_id
