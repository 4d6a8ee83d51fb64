-- Results: what the chain of assets computes. A row belongs to a partition (`day`, UTC) and is true at `as_of`.
-- Column comments are set from the definitions in knowdefeat_pipeline/core/figures.py after every migration.

CREATE TABLE bot_metrics (
    day                    date NOT NULL,
    as_of                  timestamptz NOT NULL,
    bot_id                 integer NOT NULL,
    ticker                 text NOT NULL,
    one_hour_performance   double precision,
    two_hour_performance   double precision,
    one_day_performance    double precision,
    one_week_performance   double precision,
    one_month_performance  double precision,
    avg_win_rate           double precision,
    avg_drawdown           double precision,
    profit_per_second      double precision,
    price_model_score      double precision,
    volume_model_score     double precision,
    price_wall_score       double precision,
    win_streak_2           double precision,
    win_streak_3           double precision,
    win_streak_4           double precision,
    win_streak_5           double precision,
    win_streak_6           double precision,
    win_streak_7           double precision,
    trades                 bigint NOT NULL,
    wins                   bigint NOT NULL,
    losses                 bigint NOT NULL,
    total_pnl              double precision,
    avg_pnl                double precision,
    gross_profit           double precision,
    gross_loss             double precision,
    profit_factor          double precision,
    expectancy             double precision,
    payoff_ratio           double precision,
    sqn                    double precision,
    sharpe                 double precision,
    sortino                double precision,
    calmar                 double precision,
    max_drawdown           double precision,
    max_drawdown_amount    double precision,
    avg_drawdown_amount    double precision,
    volatility             double precision,
    time_in_drawdown       double precision,
    trade_frequency        double precision,
    avg_trade_duration     double precision,
    best_trade             double precision,
    worst_trade            double precision,
    price_slippage         double precision,
    main_ticker            text,
    main_direction         text,
    first_exit             timestamptz NOT NULL,
    last_exit              timestamptz NOT NULL,
    lifetime_trades        bigint NOT NULL,
    lifetime_pnl           double precision,
    lifetime_max_drawdown  double precision,
    lifetime_win_rate      double precision,
    lifetime_profit_factor double precision,
    PRIMARY KEY (day, bot_id, ticker)
);

CREATE TABLE win_streaks (
    day                date NOT NULL,
    as_of              timestamptz NOT NULL,
    bot_id             integer NOT NULL,
    streak_length      integer NOT NULL,
    hits               bigint NOT NULL,
    frequency          double precision,
    runs               bigint NOT NULL,
    expected_frequency double precision,
    PRIMARY KEY (day, bot_id, streak_length)
);

CREATE TABLE win_streak_summary (
    day                 date NOT NULL,
    as_of               timestamptz NOT NULL,
    bot_id              integer NOT NULL,
    trades              bigint NOT NULL,
    win_rate            double precision,
    longest_win_streak  bigint NOT NULL,
    longest_loss_streak bigint NOT NULL,
    current_streak      bigint NOT NULL,
    streakiness_p_value double precision,
    PRIMARY KEY (day, bot_id)
);

-- Weights are never changed: a new set is a new version, and a day keeps the version that was in force then.
CREATE TABLE weight_versions (
    version       integer PRIMARY KEY,
    author        text NOT NULL CHECK (author IN ('default', 'manual', 'ai')),
    reason        text NOT NULL CHECK (reason <> ''),
    evidence      jsonb NOT NULL DEFAULT '{}',
    in_force_from timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    one_hour_performance  numeric(4, 1) NOT NULL,
    two_hour_performance  numeric(4, 1) NOT NULL,
    one_day_performance   numeric(4, 1) NOT NULL,
    one_week_performance  numeric(4, 1) NOT NULL,
    one_month_performance numeric(4, 1) NOT NULL,
    avg_win_rate          numeric(4, 1) NOT NULL,
    avg_drawdown          numeric(4, 1) NOT NULL,
    profit_per_second     numeric(4, 1) NOT NULL,
    price_model_score     numeric(4, 1) NOT NULL,
    volume_model_score    numeric(4, 1) NOT NULL,
    price_wall_score      numeric(4, 1) NOT NULL,
    win_streak_2          numeric(4, 1) NOT NULL,
    win_streak_3          numeric(4, 1) NOT NULL,
    win_streak_4          numeric(4, 1) NOT NULL,
    win_streak_5          numeric(4, 1) NOT NULL,
    win_streak_6          numeric(4, 1) NOT NULL,
    win_streak_7          numeric(4, 1) NOT NULL,
    CONSTRAINT weight_versions_sum CHECK (
        abs(one_hour_performance)
        + abs(two_hour_performance)
        + abs(one_day_performance)
        + abs(one_week_performance)
        + abs(one_month_performance)
        + abs(avg_win_rate)
        + abs(avg_drawdown)
        + abs(profit_per_second)
        + abs(price_model_score)
        + abs(volume_model_score)
        + abs(price_wall_score)
        + abs(win_streak_2)
        + abs(win_streak_3)
        + abs(win_streak_4)
        + abs(win_streak_5)
        + abs(win_streak_6)
        + abs(win_streak_7) = 100.0)
);
CREATE INDEX weight_versions_in_force ON weight_versions (in_force_from, version);

CREATE FUNCTION weight_versions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'weight versions are never changed or deleted' USING ERRCODE = 'check_violation',
        HINT = 'Add a new version; a rollback is a new version too.';
END $$;
CREATE TRIGGER weight_versions_append_only BEFORE UPDATE OR DELETE ON weight_versions
    FOR EACH ROW EXECUTE FUNCTION weight_versions_append_only();

INSERT INTO weight_versions (version, author, reason, in_force_from, one_hour_performance, two_hour_performance, one_day_performance, one_week_performance, one_month_performance, avg_win_rate, avg_drawdown, profit_per_second, price_model_score, volume_model_score, price_wall_score, win_streak_2, win_streak_3, win_streak_4, win_streak_5, win_streak_6, win_streak_7)
VALUES (1, 'default', 'The default weights', '-infinity', 15.0, 12.5, 10.0, 7.5, 5.0, 10.0, 8.0, 12.0, 5.0, 5.0, 3.0, 2.0, 1.5, 1.5, 1.0, 0.5, 0.5);

CREATE TABLE bot_rankings (
    day                          date NOT NULL,
    as_of                        timestamptz NOT NULL,
    bot_id                       integer NOT NULL,
    rank                         integer,
    rank_score                   double precision,
    eligible                     boolean NOT NULL,
    reason                       text,
    is_active                    boolean NOT NULL,
    weight_version               integer NOT NULL,
    one_hour_performance_points  double precision,
    two_hour_performance_points  double precision,
    one_day_performance_points   double precision,
    one_week_performance_points  double precision,
    one_month_performance_points double precision,
    avg_win_rate_points          double precision,
    avg_drawdown_points          double precision,
    profit_per_second_points     double precision,
    price_model_score_points     double precision,
    volume_model_score_points    double precision,
    price_wall_score_points      double precision,
    win_streak_2_points          double precision,
    win_streak_3_points          double precision,
    win_streak_4_points          double precision,
    win_streak_5_points          double precision,
    win_streak_6_points          double precision,
    win_streak_7_points          double precision,
    FOREIGN KEY (weight_version) REFERENCES weight_versions (version),
    CHECK (eligible = (rank IS NOT NULL)),
    PRIMARY KEY (day, bot_id)
);

-- The weights in force once a day was ranked: what the next ranking will use.
CREATE TABLE variable_weights (
    day      date NOT NULL,
    as_of    timestamptz NOT NULL,
    variable text NOT NULL,
    weight   double precision NOT NULL,
    version  integer NOT NULL REFERENCES weight_versions (version),
    PRIMARY KEY (day, variable)
);
