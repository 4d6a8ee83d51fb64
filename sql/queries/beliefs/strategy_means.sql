-- What a strategy's size rests on: the capital of its largest bot, and the spread of the returns of its last 100 trades.
SELECT largest.capital, coalesce(largest.capital_is_estimated, false) AS capital_is_estimated, last.volatility
FROM (
    SELECT sqrt(avg(change * change)) AS volatility FROM (
        SELECT pnl / notional AS change
        FROM closed_trades
        WHERE notional IS NOT NULL AND strategy_id = %(strategy)s
        ORDER BY exit_time DESC, trade_id DESC LIMIT 100
    ) AS trades
) AS last
LEFT JOIN (
    SELECT c.capital, c.capital_is_estimated
    FROM bot_capitals AS c
    JOIN bot_strategies AS s USING (bot_id)
    WHERE c.capital IS NOT NULL AND (s.strategy_id = %(strategy)s
        OR EXISTS (SELECT FROM closed_trades AS t WHERE t.bot_id = c.bot_id AND t.strategy_id = %(strategy)s))
    ORDER BY c.capital DESC LIMIT 1
) AS largest ON true
