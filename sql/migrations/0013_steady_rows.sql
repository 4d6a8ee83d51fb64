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
-- A bot that has only traded one ticker has one row for both, which names that ticker.
ALTER TABLE bot_metrics_rows ADD COLUMN only_ticker text;
CREATE TEMP TABLE single_tickers ON COMMIT DROP AS
SELECT day, bot_id, max(ticker) FILTER (WHERE ticker <> '*') AS ticker
FROM bot_metrics_rows
GROUP BY day, bot_id
HAVING count(*) = 2;
DELETE FROM bot_metrics_rows AS r USING single_tickers AS s WHERE (r.day, r.bot_id, r.ticker) = (s.day, s.bot_id, s.ticker);
UPDATE bot_metrics_rows AS r SET only_ticker = s.ticker FROM single_tickers AS s WHERE (r.day, r.bot_id) = (s.day, s.bot_id);
CREATE VIEW bot_metrics AS
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
       r.lifetime_win_rate, r.lifetime_profit_factor
FROM bot_metrics_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_metrics' AND m.day = r.day
CROSS JOIN LATERAL (SELECT r.ticker UNION ALL SELECT r.only_ticker WHERE r.only_ticker IS NOT NULL) AS t (ticker);

-- A bot's streaks of a day are one row.
ALTER TABLE win_streak_summary RENAME TO win_streaks_rows;
ALTER TABLE win_streaks_rows
    DROP COLUMN as_of,
    ADD COLUMN hits_2 bigint, ADD COLUMN runs_2 bigint, ADD COLUMN expected_frequency_2 double precision,
    ADD COLUMN hits_3 bigint, ADD COLUMN runs_3 bigint, ADD COLUMN expected_frequency_3 double precision,
    ADD COLUMN hits_4 bigint, ADD COLUMN runs_4 bigint, ADD COLUMN expected_frequency_4 double precision,
    ADD COLUMN hits_5 bigint, ADD COLUMN runs_5 bigint, ADD COLUMN expected_frequency_5 double precision,
    ADD COLUMN hits_6 bigint, ADD COLUMN runs_6 bigint, ADD COLUMN expected_frequency_6 double precision,
    ADD COLUMN hits_7 bigint, ADD COLUMN runs_7 bigint, ADD COLUMN expected_frequency_7 double precision;
UPDATE win_streaks_rows AS r
SET hits_2 = s.hits[1], runs_2 = s.runs[1], expected_frequency_2 = s.expected_frequency[1],
    hits_3 = s.hits[2], runs_3 = s.runs[2], expected_frequency_3 = s.expected_frequency[2],
    hits_4 = s.hits[3], runs_4 = s.runs[3], expected_frequency_4 = s.expected_frequency[3],
    hits_5 = s.hits[4], runs_5 = s.runs[4], expected_frequency_5 = s.expected_frequency[4],
    hits_6 = s.hits[5], runs_6 = s.runs[5], expected_frequency_6 = s.expected_frequency[5],
    hits_7 = s.hits[6], runs_7 = s.runs[6], expected_frequency_7 = s.expected_frequency[6]
FROM (
    SELECT day, bot_id, array_agg(hits ORDER BY streak_length) AS hits, array_agg(runs ORDER BY streak_length) AS runs,
           array_agg(expected_frequency ORDER BY streak_length) AS expected_frequency
    FROM win_streaks
    GROUP BY day, bot_id
) AS s
WHERE (s.day, s.bot_id) = (r.day, r.bot_id);
DROP TABLE win_streaks;
CREATE VIEW win_streak_summary AS
SELECT r.day, m.as_of, r.bot_id, r.trades, r.win_rate, r.longest_win_streak, r.longest_loss_streak, r.current_streak,
       r.streakiness_p_value
FROM win_streaks_rows AS r
JOIN refreshed_days AS m ON m.asset = 'win_streaks' AND m.day = r.day;
CREATE VIEW win_streaks AS
SELECT r.day, m.as_of, r.bot_id, s.streak_length, s.hits,
       CASE WHEN r.trades > 0 THEN 100.0::double precision * s.hits / r.trades END AS frequency,
       s.runs, s.expected_frequency
FROM win_streaks_rows AS r
JOIN refreshed_days AS m ON m.asset = 'win_streaks' AND m.day = r.day
CROSS JOIN LATERAL (VALUES
    (2, r.hits_2, r.runs_2, r.expected_frequency_2),
    (3, r.hits_3, r.runs_3, r.expected_frequency_3),
    (4, r.hits_4, r.runs_4, r.expected_frequency_4),
    (5, r.hits_5, r.runs_5, r.expected_frequency_5),
    (6, r.hits_6, r.runs_6, r.expected_frequency_6),
    (7, r.hits_7, r.runs_7, r.expected_frequency_7)
) AS s (streak_length, hits, runs, expected_frequency)
WHERE s.hits IS NOT NULL;

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
