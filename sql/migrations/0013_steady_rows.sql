-- Rows of results hold what changes with trades and decisions. When they are true, and what follows from that alone, is
-- said once a day by the mark, so that a batch of the running day writes only the rows that changed.

INSERT INTO refreshed_days (asset, day, as_of, seen)
SELECT DISTINCT ON (asset, day) asset, day, as_of, '1:1:'::pg_snapshot
FROM (
    SELECT 'bot_metrics' AS asset, day, as_of FROM bot_metrics
    UNION ALL
    SELECT 'win_streaks', day, as_of FROM win_streak_summary
    UNION ALL
    SELECT 'bot_rankings', day, as_of FROM bot_rankings
    UNION ALL
    SELECT 'variable_weights', day, as_of FROM variable_weights
) AS computed
ORDER BY asset, day, as_of DESC
ON CONFLICT DO NOTHING;

-- Percent of the time from a window's first exit to its end during which equity was below its peak: `ended` µs in
-- episodes that are over, and the one since `since`. The same as core's function of this name.
CREATE FUNCTION time_in_drawdown(as_of timestamptz, first_exit timestamptz, ended bigint, since timestamptz)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN as_of > first_exit THEN
        100 * ((ended + coalesce((extract(epoch FROM as_of - since) * 1000000)::bigint, 0))::double precision
               / (extract(epoch FROM as_of - first_exit) * 1000000)::bigint::double precision)
    END
$$;

-- Trades a day since a bot's or ticker's first one: counted over at least 1 and at most 30 days. The same as core's.
CREATE FUNCTION trade_frequency(trades bigint, first_exit timestamptz, as_of timestamptz)
RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN trades > 0 THEN
        trades / least(greatest(
            (extract(epoch FROM as_of - first_exit) * 1000000)::bigint::double precision / 86400000000, 1), 30)
    END
$$;

ALTER TABLE bot_metrics RENAME TO bot_metrics_rows;
ALTER TABLE bot_metrics_rows
    ADD COLUMN pnl_sd double precision,
    ADD COLUMN window_first_exit timestamptz,
    ADD COLUMN drawdown_time bigint,
    ADD COLUMN drawdown_since timestamptz;
-- What was computed so far tells the figures alone, which come out again but for rounding.
UPDATE bot_metrics_rows
SET pnl_sd = volatility / sqrt(trade_frequency),
    window_first_exit = as_of - interval '30 days',
    drawdown_time = round(time_in_drawdown / 100 * 2592e9)::bigint;
ALTER TABLE bot_metrics_rows
    DROP COLUMN as_of, DROP COLUMN volatility, DROP COLUMN time_in_drawdown, DROP COLUMN trade_frequency;
CREATE VIEW bot_metrics AS
SELECT r.day, m.as_of, r.bot_id, r.ticker,
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
       r.lifetime_win_rate, r.lifetime_profit_factor
FROM bot_metrics_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_metrics' AND m.day = r.day;

ALTER TABLE win_streaks RENAME TO win_streaks_rows;
ALTER TABLE win_streaks_rows DROP COLUMN as_of;
CREATE VIEW win_streaks AS
SELECT r.day, m.as_of, r.bot_id, r.streak_length, r.hits, r.frequency, r.runs, r.expected_frequency
FROM win_streaks_rows AS r
JOIN refreshed_days AS m ON m.asset = 'win_streaks' AND m.day = r.day;

ALTER TABLE win_streak_summary RENAME TO win_streak_summary_rows;
ALTER TABLE win_streak_summary_rows DROP COLUMN as_of;
CREATE VIEW win_streak_summary AS
SELECT r.day, m.as_of, r.bot_id, r.trades, r.win_rate, r.longest_win_streak, r.longest_loss_streak, r.current_streak,
       r.streakiness_p_value
FROM win_streak_summary_rows AS r
JOIN refreshed_days AS m ON m.asset = 'win_streaks' AND m.day = r.day;

ALTER TABLE bot_rankings RENAME TO bot_rankings_rows;
ALTER TABLE bot_rankings_rows DROP COLUMN as_of;
CREATE VIEW bot_rankings AS
SELECT r.day, m.as_of, r.bot_id,
       r.rank, r.rank_score, r.eligible, r.reason, r.is_active, r.weight_version, r.one_hour_performance_points,
       r.two_hour_performance_points, r.one_day_performance_points, r.one_week_performance_points,
       r.one_month_performance_points, r.avg_win_rate_points, r.avg_drawdown_points, r.profit_per_second_points,
       r.price_model_score_points, r.volume_model_score_points, r.price_wall_score_points, r.win_streak_2_points,
       r.win_streak_3_points, r.win_streak_4_points, r.win_streak_5_points, r.win_streak_6_points,
       r.win_streak_7_points
FROM bot_rankings_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_rankings' AND m.day = r.day;

ALTER TABLE variable_weights RENAME TO variable_weights_rows;
ALTER TABLE variable_weights_rows DROP COLUMN as_of;
CREATE VIEW variable_weights AS
SELECT r.day, m.as_of, r.variable, r.weight, r.version
FROM variable_weights_rows AS r
JOIN refreshed_days AS m ON m.asset = 'variable_weights' AND m.day = r.day;
