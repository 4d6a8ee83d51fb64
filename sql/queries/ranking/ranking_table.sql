-- The ranking of one day with the figures that people look at.
SELECT r.*, b.name AS bot, b.strategy_id, b.quote_currency,
       m.trades, m.wins, m.losses, m.avg_win_rate AS win_rate, m.total_pnl AS pnl, m.max_drawdown, m.max_drawdown_amount,
       m.capital, m.capital_is_estimated,
       m.profit_factor, m.lifetime_trades, m.lifetime_pnl, m.open_trades, m.open_pnl, m.unmarked_open,
       m.max_drawdown_with_open,
       k.p_skill, k.edge, k.edge_low, k.edge_high, k.verdict,
       s.longest_win_streak, s.longest_loss_streak, s.current_streak, s.streakiness_p_value, s.order_p_value
FROM bot_rankings AS r
JOIN bots AS b USING (bot_id)
JOIN bot_metrics AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')
LEFT JOIN win_streak_summary AS s ON (s.day, s.bot_id) = (r.day, r.bot_id)
LEFT JOIN bot_skill AS k ON (k.day, k.bot_id, k.time_window) = (r.day, r.bot_id, 'lifetime')
WHERE r.day = %(day)s
ORDER BY r.rank NULLS LAST, r.bot_id
