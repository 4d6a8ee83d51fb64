-- Outcomes with $1 < exit_time <= $2: closed trades, each with the regime that its ticker's last bar to close before
-- the entry told, and the outcomes of backtests (negative ids).
SELECT t.trade_id AS outcome_id, t.exit_time, '' AS source,
       t.bot_id, coalesce(t.strategy_id, b.strategy_id, 'bot ' || t.bot_id) AS strategy_id,
       nullif(m.label, 'NEUTRAL') AS regime, t.pnl, NULL::double precision AS result
FROM trades AS t
JOIN bots AS b USING (bot_id)
LEFT JOIN regime_series AS s ON s.ticker = t.ticker
LEFT JOIN LATERAL (
    SELECT label FROM market_regimes AS m
    WHERE m.ticker = s.ticker AND m.timeframe = s.timeframe
      AND m.open_time <= t.entry_time - s.length AND m.open_time > t.entry_time - s.length - s.reach
    ORDER BY m.open_time DESC LIMIT 1
) AS m ON true
WHERE t.status = 'closed' AND t.exit_time > $1 AND t.exit_time <= $2
UNION ALL
SELECT -o.outcome_id, o.exit_time, l.source, 0, o.strategy_id, o.regime, NULL,
       o.result
FROM backtest_outcomes AS o
JOIN belief_ledger AS l USING (entry_id)
WHERE o.exit_time > $1 AND o.exit_time <= $2
