-- What a strategy's size rests on: the capital of its largest bot, and the spread of the returns of its last 100 trades.
SELECT max(capital) AS capital, max(volatility) AS volatility
FROM (
    SELECT b.capital, NULL::float8 AS volatility FROM bots AS b
    WHERE b.strategy_id = %(strategy)s OR 'bot ' || b.bot_id = %(strategy)s
        OR EXISTS (SELECT FROM trades AS t WHERE t.bot_id = b.bot_id AND t.strategy_id = %(strategy)s)
    UNION ALL
    SELECT NULL, sqrt(avg(last.change * last.change)) FROM (
        SELECT t.pnl / t.notional AS change
        FROM trades AS t JOIN bots AS b USING (bot_id)
        WHERE t.status = 'closed' AND t.notional IS NOT NULL
          AND coalesce(t.strategy_id, b.strategy_id, 'bot ' || t.bot_id) = %(strategy)s
        ORDER BY t.exit_time DESC, t.trade_id DESC LIMIT 100
    ) AS last
) AS found
