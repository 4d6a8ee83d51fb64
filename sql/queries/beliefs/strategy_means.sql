-- What a strategy's size rests on: the capital of its largest bot, and the spread of the returns of its last 100 trades.
SELECT max(capital) AS capital, max(volatility) AS volatility
FROM (
    SELECT b.capital, NULL::float8 AS volatility
    FROM bots AS b
    JOIN bot_strategies AS s USING (bot_id)
    WHERE s.strategy_id = %(strategy)s
        OR EXISTS (SELECT FROM closed_trades AS t WHERE t.bot_id = b.bot_id AND t.strategy_id = %(strategy)s)
    UNION ALL
    SELECT NULL, sqrt(avg(last.change * last.change)) FROM (
        SELECT pnl / notional AS change
        FROM closed_trades
        WHERE notional IS NOT NULL AND strategy_id = %(strategy)s
        ORDER BY exit_time DESC, trade_id DESC LIMIT 100
    ) AS last
) AS found
