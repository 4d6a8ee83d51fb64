-- What the weight learner reads of the days to $1: each bot's row over all its tickers at the end of every complete day,
-- if it closed at least $2 trades; and of the day after, once that is complete (`label_ended`), what it closed with:
-- closed_pnl and the sum of absolute pnl (NULL without trades). What it held overnight is read by held_nights.
SELECT m.day, m.as_of, m.bot_id, m.main_ticker || ' ' || m.main_direction AS "group", m.volatility, m.avg_drawdown_amount,
       m.one_hour_performance, m.two_hour_performance, m.one_day_performance, m.one_week_performance,
       m.one_month_performance, m.avg_win_rate, m.avg_drawdown, m.profit_per_second,
       m.price_model_score, m.volume_model_score, m.price_wall_score,
       m.win_streak_2, m.win_streak_3, m.win_streak_4, m.win_streak_5, m.win_streak_6, m.win_streak_7,
       m.quarter_result, m.lifetime_result,
       n.day IS NOT NULL AS label_ended, n.one_day_performance AS closed_pnl, c.absolute_pnl
FROM bot_metrics AS m
LEFT JOIN bot_metrics AS n
    ON n.day = m.day + 1 AND n.bot_id = m.bot_id AND n.ticker = '*'
    AND n.day <= $1 AND n.as_of = day_end(n.day)
LEFT JOIN (
    SELECT bot_id, day, sum(abs(pnl)) AS absolute_pnl FROM closed_trades WHERE exit_time < day_end($1) GROUP BY bot_id, day
) AS c ON c.day = n.day AND c.bot_id = n.bot_id
WHERE m.ticker = '*' AND m.day <= $1 AND m.as_of = day_end(m.day) AND m.trades >= $2
ORDER BY m.day, m.bot_id
