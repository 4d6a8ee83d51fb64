-- Skill: what the results of each bot, its strategy and the fleet say of its edge, at each as_of.

-- What a bot's days of a month leave of its results: counts, sums, and the sums of the second and third powers of their
-- deviations from the day's mean. On the bot's row over all tickers; on the others none.
ALTER TABLE bot_months
    ADD COLUMN days       date[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_trades bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_wins   bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_losses bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_pnl    double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_m2     double precision[] NOT NULL DEFAULT '{}',
    ADD COLUMN day_m3     double precision[] NOT NULL DEFAULT '{}';
DELETE FROM bot_months; -- they are folded again, with their days
DELETE FROM bot_months_state;

-- Every trade moves every bot's skill a little, as it tells of the fleet. So a day's fleet is one row a window, an array a
-- figure, and a batch writes two rows instead of two a bot.
CREATE TABLE bot_skill_rows (
    day         date NOT NULL,
    time_window text NOT NULL,
    bot_id      integer[] NOT NULL,
    trades      bigint[] NOT NULL,
    edge        double precision[] NOT NULL,
    edge_low    double precision[] NOT NULL,
    edge_high   double precision[] NOT NULL,
    p_skill     double precision[] NOT NULL,
    verdict     text[] NOT NULL,
    PRIMARY KEY (day, time_window)
);
ALTER TABLE bot_skill_rows SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE VIEW bot_skill AS
SELECT r.day, m.as_of, s.bot_id, r.time_window, s.trades, s.edge, s.edge_low, s.edge_high, s.p_skill, s.verdict
FROM bot_skill_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_skill' AND m.day = r.day
CROSS JOIN LATERAL unnest(r.bot_id, r.trades, r.edge, r.edge_low, r.edge_high, r.p_skill, r.verdict)
    AS s (bot_id, trades, edge, edge_low, edge_high, p_skill, verdict)
WHERE EXISTS (SELECT FROM bots AS b WHERE b.bot_id = s.bot_id); -- one that is gone has no results

CREATE VIEW report.skill AS
SELECT k.as_of AS "time", k.day, k.bot_id, b.name AS bot, s.strategy_id, k.time_window, k.trades, k.edge,
       k.edge_low, k.edge_high, k.p_skill, k.verdict
FROM bot_skill AS k
JOIN bots AS b USING (bot_id)
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON VIEW report.skill IS 'Whether each bot is good or lucky, over its lifetime and the trailing 90 days; "time" is when it '
    'is true. The interval of the edge is 90 %.';
COMMENT ON COLUMN report.skill.time_window IS 'lifetime or 90 days.';
COMMENT ON COLUMN report.skill.p_skill IS 'The probability that the bot''s edge is above 0.';

-- The order of wins, whole days being what chance shuffles. What was computed so far has none until it is computed again.
ALTER TABLE win_streaks_rows ADD COLUMN order_p_value double precision;
CREATE OR REPLACE VIEW win_streak_summary AS
SELECT r.day, m.as_of, r.bot_id, r.trades, r.win_rate, r.longest_win_streak, r.longest_loss_streak, r.current_streak,
       r.streakiness_p_value, r.order_p_value
FROM win_streaks_rows AS r
JOIN refreshed_days AS m ON m.asset = 'win_streaks' AND m.day = r.day;
SELECT note_change('formulas', '-infinity') WHERE EXISTS (SELECT FROM refreshed_days);
