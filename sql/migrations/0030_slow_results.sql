-- What a bot earned per day, net of its group, over a quarter and over its life: two more variables of the ranking, which
-- weigh nothing until a person or the learner gives them a weight.

-- They rest on the results of all bots of a group, and so stand by themselves: rows of bot_metrics stay as they are.
-- net_result: of the day, in units of the bot's volatility when it began; NULL where the bot did not trade, and while the
-- day runs. lifetime_total, lifetime_days: their sum and number up to the day, from which the next day goes on.
CREATE TABLE slow_results (
    day            date NOT NULL,
    bot_id         integer NOT NULL,
    net_result     double precision,
    quarter_result double precision,
    lifetime_total double precision NOT NULL,
    lifetime_days  integer NOT NULL,
    PRIMARY KEY (day, bot_id)
);
-- As for the other tables whose days are replaced (see 0007).
ALTER TABLE slow_results SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE OR REPLACE VIEW bot_metrics AS
SELECT r.day, m.as_of, r.bot_id, t.ticker,
       r.one_hour_performance, r.two_hour_performance, r.one_day_performance, r.one_week_performance,
       r.one_month_performance, r.avg_win_rate, r.avg_drawdown, r.profit_per_second, r.price_model_score,
       r.volume_model_score, r.price_wall_score, r.win_streak_2, r.win_streak_3, r.win_streak_4, r.win_streak_5,
       r.win_streak_6, r.win_streak_7, r.trades, r.wins, r.losses, r.total_pnl, r.avg_pnl, r.gross_profit,
       r.gross_loss, r.profit_factor, r.expectancy, r.payoff_ratio, r.sqn, r.sharpe, r.sortino, r.calmar,
       r.max_drawdown, r.max_drawdown_amount, r.avg_drawdown_amount,
       r.pnl_sd * sqrt(trade_frequency(r.trades, r.first_exit, m.as_of)) AS volatility,
       time_in_drawdown(m.as_of, r.window_first_exit, r.drawdown_time, r.drawdown_since) AS time_in_drawdown,
       trade_frequency(r.trades, r.first_exit, m.as_of) AS trade_frequency, r.avg_trade_duration, r.best_trade, r.worst_trade, r.price_slippage, r.main_ticker,
       r.main_direction, r.first_exit, r.last_exit, r.lifetime_trades, r.lifetime_pnl, r.lifetime_max_drawdown,
       r.lifetime_win_rate, r.lifetime_profit_factor, r.capital, r.capital_is_estimated, r.sharpe_low, r.sharpe_high,
       coalesce(o.open_trades, 0) AS open_trades, o.open_pnl, coalesce(o.unmarked_open, 0) AS unmarked_open, o.oldest_open,
       max_drawdown_with_open(r.max_drawdown, r.below_peak, r.peak_equity, o.open_pnl) AS max_drawdown_with_open,
       s.quarter_result, s.lifetime_total / sqrt(nullif(s.lifetime_days, 0)::double precision) AS lifetime_result
FROM bot_metrics_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_metrics' AND m.day = r.day
CROSS JOIN LATERAL (SELECT r.ticker UNION ALL SELECT r.only_ticker WHERE r.only_ticker IS NOT NULL) AS t (ticker)
LEFT JOIN open_positions AS o ON o.day = r.day AND o.bot_id = r.bot_id AND o.ticker = t.ticker
LEFT JOIN slow_results AS s ON s.day = r.day AND s.bot_id = r.bot_id AND t.ticker = '*';

ALTER TABLE bot_rankings_rows
    ADD COLUMN quarter_result_points double precision,
    ADD COLUMN lifetime_result_points double precision;
CREATE OR REPLACE VIEW bot_rankings AS
SELECT r.day, m.as_of, r.bot_id,
       r.rank, r.rank_score, r.eligible, r.reason, r.is_active, r.weight_version, r.one_hour_performance_points,
       r.two_hour_performance_points, r.one_day_performance_points, r.one_week_performance_points,
       r.one_month_performance_points, r.avg_win_rate_points, r.avg_drawdown_points, r.profit_per_second_points,
       r.price_model_score_points, r.volume_model_score_points, r.price_wall_score_points, r.win_streak_2_points,
       r.win_streak_3_points, r.win_streak_4_points, r.win_streak_5_points, r.win_streak_6_points,
       r.win_streak_7_points,
       CASE WHEN open_loss_exceeds_gain(o.open_pnl, b.total_pnl) THEN 'open loss exceeds the gain of 30 days' END AS flag,
       r.quarter_result_points, r.lifetime_result_points
FROM bot_rankings_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_rankings' AND m.day = r.day
LEFT JOIN open_positions AS o ON o.day = r.day AND o.bot_id = r.bot_id AND o.ticker = '*'
LEFT JOIN bot_metrics_rows AS b ON b.day = r.day AND b.bot_id = r.bot_id AND b.ticker = '*';

-- A set that names Know-Defeat's 17 alone gives the two others no weight.
ALTER TABLE weight_versions
    ADD COLUMN quarter_result numeric(4, 1) NOT NULL DEFAULT 0,
    ADD COLUMN lifetime_result numeric(4, 1) NOT NULL DEFAULT 0,
    DROP CONSTRAINT weight_versions_sum,
    ADD CONSTRAINT weight_versions_sum CHECK (
        abs(one_hour_performance) + abs(two_hour_performance) + abs(one_day_performance) + abs(one_week_performance)
        + abs(one_month_performance) + abs(avg_win_rate) + abs(avg_drawdown) + abs(profit_per_second)
        + abs(price_model_score) + abs(volume_model_score) + abs(price_wall_score)
        + abs(win_streak_2) + abs(win_streak_3) + abs(win_streak_4) + abs(win_streak_5) + abs(win_streak_6)
        + abs(win_streak_7) + abs(quarter_result) + abs(lifetime_result) = 100.0);

-- What is computed from here on has the two variables; so days of before are computed again.
SELECT note_change('formulas', '-infinity') WHERE EXISTS (SELECT FROM refreshed_days);
