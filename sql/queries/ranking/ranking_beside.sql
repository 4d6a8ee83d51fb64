-- What pages show beside the ranking of a day: places of a day and a week ago, shorter windows, and what was allocated.
SELECT r.bot_id, s.strategy_id AS strategy, before.rank AS rank_1d, week.rank AS rank_7d, m.one_day_performance AS pnl_1d,
       m.one_week_performance AS pnl_7d, m.main_ticker, m.main_direction, a.amount AS funds, a.decision
FROM bot_rankings_rows AS r
JOIN bot_strategies AS s USING (bot_id)
JOIN bot_metrics_rows AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN bot_rankings_rows AS before ON (before.day, before.bot_id) = (r.day - 1, r.bot_id)
LEFT JOIN bot_rankings_rows AS week ON (week.day, week.bot_id) = (r.day - 7, r.bot_id)
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (r.day, r.bot_id)
WHERE r.day = %(day)s
