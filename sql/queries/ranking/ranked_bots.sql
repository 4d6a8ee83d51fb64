-- The ranking of a day as pages show it: with the figures of each bot, its places of a day and a week ago, and what it was
-- allocated; of some bots (%(bots)s) or, null, of all. (Days are compared with the parameter, and not with each other, so
-- that no more than three days of rankings are read.)
SELECT r.*, b.name AS bot, t.strategy_id AS strategy, b.quote_currency,
       m.trades, m.wins, m.losses, m.avg_win_rate AS win_rate, m.total_pnl AS pnl, m.one_day_performance AS pnl_1d,
       m.one_week_performance AS pnl_7d, m.main_ticker, m.main_direction, m.max_drawdown, m.max_drawdown_amount,
       m.capital, m.capital_is_estimated, m.profit_factor, m.lifetime_trades, m.lifetime_pnl, m.open_trades, m.open_pnl,
       m.unmarked_open, m.max_drawdown_with_open,
       k.p_skill, k.edge, k.edge_low, k.edge_high, k.verdict,
       s.longest_win_streak, s.longest_loss_streak, s.current_streak, s.streakiness_p_value, s.order_p_value,
       before.rank AS rank_1d, before.rank - r.rank AS moved_1d, week.rank AS rank_7d, week.rank - r.rank AS moved_7d,
       a.amount AS funds, a.decision
FROM bot_rankings AS r
JOIN bots AS b USING (bot_id)
JOIN bot_strategies AS t USING (bot_id)
JOIN bot_metrics AS m ON (m.day, m.bot_id, m.ticker) = (%(day)s, r.bot_id, '*')
LEFT JOIN win_streak_summary AS s ON (s.day, s.bot_id) = (%(day)s, r.bot_id)
LEFT JOIN bot_skill AS k ON (k.day, k.bot_id, k.time_window) = (%(day)s, r.bot_id, 'lifetime')
LEFT JOIN bot_rankings_rows AS before ON (before.day, before.bot_id) = (%(day)s::date - 1, r.bot_id)
LEFT JOIN bot_rankings_rows AS week ON (week.day, week.bot_id) = (%(day)s::date - 7, r.bot_id)
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (%(day)s, r.bot_id)
WHERE r.day = %(day)s AND (%(bots)s::integer[] IS NULL OR r.bot_id = ANY(%(bots)s::integer[]))
ORDER BY r.rank NULLS LAST, r.bot_id
