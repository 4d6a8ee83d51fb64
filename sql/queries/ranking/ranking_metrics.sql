-- What the ranking reads of the days $1 to $2: each bot's row over all its tickers.
SELECT day, as_of, bot_id, ticker, trades, main_ticker, main_direction, volatility,
       one_hour_performance, two_hour_performance, one_day_performance, one_week_performance, one_month_performance,
       avg_win_rate, avg_drawdown_amount, profit_per_second, price_model_score, volume_model_score, price_wall_score,
       win_streak_2, win_streak_3, win_streak_4, win_streak_5, win_streak_6, win_streak_7,
       quarter_result, lifetime_result
FROM bot_metrics
WHERE day BETWEEN $1 AND $2 AND ticker = '*'
ORDER BY day, bot_id
