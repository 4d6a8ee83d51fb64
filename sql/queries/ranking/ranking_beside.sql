-- What pages show beside the ranking of a day: places of a day and a week ago, shorter windows, and what was allocated.
-- Every day is a constant, by which the planner finds its rows in the index; reckoned from another row it reads all days.
SELECT r.bot_id, s.strategy_id AS strategy, before.rank AS rank_1d, week.rank AS rank_7d, m.one_day_performance AS pnl_1d,
       m.one_week_performance AS pnl_7d, m.main_ticker, m.main_direction, a.amount AS funds, a.decision
FROM bot_rankings_rows AS r
JOIN bot_strategies AS s USING (bot_id)
JOIN bot_metrics_rows AS m ON (m.day, m.bot_id, m.ticker) = (%(day)s, r.bot_id, '*')
LEFT JOIN bot_rankings_rows AS before ON (before.day, before.bot_id) = (%(day)s::date - 1, r.bot_id)
LEFT JOIN bot_rankings_rows AS week ON (week.day, week.bot_id) = (%(day)s::date - 7, r.bot_id)
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (%(day)s, r.bot_id)
WHERE r.day = %(day)s
