-- Outcomes with $1 <= exit_time < $2: closed trades, each with the regime that held at its entry, and the outcomes of
-- backtests (negative ids).
SELECT t.trade_id AS outcome_id, t.exit_time, '' AS source, t.bot_id, t.strategy_id,
       nullif(m.label, 'NEUTRAL') AS regime, t.pnl, NULL::double precision AS result
FROM closed_trades AS t
LEFT JOIN regime_series AS s ON s.ticker = t.ticker
LEFT JOIN LATERAL regime_at(s, t.entry_time) AS m ON true
WHERE t.exit_time >= $1 AND t.exit_time < $2
UNION ALL
SELECT -o.outcome_id, o.exit_time, l.source, 0, o.strategy_id, o.regime, NULL, o.result
FROM backtest_outcomes AS o
JOIN belief_ledger AS l USING (entry_id)
WHERE o.exit_time >= $1 AND o.exit_time < $2
