-- The strategies of a day's bots, by currency, and what is believed of them.
SELECT s.strategy_id, b.quote_currency, count(*) AS bots, avg(r.rank_score) AS mean_score,
       100.0 * sum(m.wins) / nullif(sum(m.trades), 0) AS win_rate, sum(m.total_pnl) AS pnl_30d, w.weight, f.edge, f.edge_low,
       f.edge_high
FROM bot_rankings_rows AS r
JOIN bots AS b USING (bot_id)
JOIN bot_strategies AS s USING (bot_id)
JOIN bot_metrics_rows AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN strategy_weights AS w ON (w.day, w.strategy_id) = (r.day, s.strategy_id)
LEFT JOIN strategy_beliefs AS f ON (f.day, f.strategy_id, f.regime) = (r.day, s.strategy_id, '*')
WHERE r.day = %(day)s
GROUP BY s.strategy_id, b.quote_currency, w.weight, f.edge, f.edge_low, f.edge_high
ORDER BY sum(m.total_pnl) DESC NULLS LAST, s.strategy_id
