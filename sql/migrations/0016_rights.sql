-- What the rights of roles rest on. The roles belong to the server and not to this database: they are made and given their
-- rights beside the migrations (knowdefeat_pipeline/postgres/roles.py).

-- Which bots a login role may write; null: any. A role that is no member of knowdefeat_bot needs no row.
CREATE TABLE bot_writers (
    role_name text NOT NULL CHECK (role_name <> ''),
    bot_id    integer,
    UNIQUE (role_name, bot_id)
);
COMMENT ON TABLE bot_writers IS 'The bots that a login role for bots may write, one a row; null: any bot.';

-- The bots whose trades the session may see and write; null: any. By the role that logged in, as a role that is taken on
-- (SET ROLE) must not widen them. A member of knowdefeat_bot that is bound to nothing here, because another database of
-- the server made it, may write no bot; who administers that role is no bot.
CREATE FUNCTION own_bots() RETURNS integer[] LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT CASE
        WHEN bool_or(w.bot_id IS NULL) THEN NULL
        WHEN count(*) > 0 THEN array_agg(w.bot_id)
        WHEN EXISTS (
            SELECT FROM pg_auth_members AS m
            JOIN pg_roles AS bots ON bots.oid = m.roleid AND bots.rolname = 'knowdefeat_bot'
            JOIN pg_roles AS member ON member.oid = m.member AND member.rolname = session_user
            WHERE NOT m.admin_option
        ) THEN '{}'::integer[]
    END
    FROM bot_writers AS w
    WHERE w.role_name = session_user
$$;

-- Triggers that write or read other tables do so in the owner's name: whoever writes a trade needs no right on bots. Their
-- search_path is fixed, temporary tables last, so that nobody can put a table of his own in the place of one of ours.
DO $$
DECLARE
    trusted record;
BEGIN
    FOR trusted IN
        SELECT p.oid::regprocedure AS name
        FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace
          AND p.proname IN ('own_bots', 'trades_admit', 'bots_arrive', 'trade_scores_deleted', 'trades_deleted_changes', 'trades_truncated',
                            'belief_ledger_changes', 'market_regimes_changes', 'bots_strategy_changes',
                            'bots_capital_changes', 'bots_deleted', 'bots_record_activity', 'weight_versions_deleted',
                            'weight_versions_follow', 'decisions_append_only')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp',
                       trusted.name, current_schema());
    END LOOP;
END $$;

-- For everybody but the owner. Who is no bot sees all rows; the array is made once a statement.
ALTER TABLE trades ENABLE ROW LEVEL SECURITY;
CREATE POLICY trades_own ON trades
    USING ((SELECT own_bots()) IS NULL OR bot_id = ANY ((SELECT own_bots())::integer[]));

-- What reports and dashboards read: views whose names and columns stay. "time" is never infinite.
CREATE SCHEMA IF NOT EXISTS report;
COMMENT ON SCHEMA report IS 'Views for reports and dashboards. Their columns stay; "time" is when a row counts, in UTC.';

CREATE VIEW report.trades AS
SELECT coalesce(nullif(t.exit_time, '-infinity'), nullif(t.entry_time, '-infinity')) AS "time", t.trade_id, t.source,
       t.source_trade_id, t.bot_id, coalesce(t.strategy_id, s.strategy_id) AS strategy_id, t.ticker, t.direction, t.status,
       nullif(t.entry_time, '-infinity') AS entry_time, nullif(t.exit_time, '-infinity') AS exit_time, t.entry_price,
       t.exit_price, t.notional, t.fees, t.pnl, t.quote_currency, t.exit_reason
FROM trades AS t
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON VIEW report.trades IS 'Every trade; "time" is its exit, of an open one its entry.';
COMMENT ON COLUMN report.trades.pnl IS 'Net result in quote currency, fees taken off; null while the trade is open.';
COMMENT ON COLUMN report.trades.strategy_id IS 'The strategy that the trade names, else its bot''s, else its bot.';

CREATE VIEW report.bot_daily AS
SELECT day_start(t.day) AS "time", t.day, t.bot_id, b.quote_currency, count(*) AS trades,
       count(*) FILTER (WHERE t.is_win) AS wins, sum(t.pnl) AS pnl
FROM closed_trades AS t
JOIN bots AS b USING (bot_id)
WHERE isfinite(t.exit_time)
GROUP BY t.day, t.bot_id, b.quote_currency;
COMMENT ON VIEW report.bot_daily IS 'What each bot closed on each UTC day; "time" is the day''s beginning. Days without '
    'trades have no row.';
COMMENT ON COLUMN report.bot_daily.pnl IS 'Sum of the net results, in quote_currency.';

CREATE VIEW report.fleet_daily AS
SELECT "time", day, quote_currency, count(*) AS bots, sum(trades)::bigint AS trades, sum(wins)::bigint AS wins,
       sum(pnl) AS pnl
FROM report.bot_daily
GROUP BY "time", day, quote_currency;
COMMENT ON VIEW report.fleet_daily IS 'What all bots of a currency closed on each UTC day; "time" is the day''s beginning.';
COMMENT ON COLUMN report.fleet_daily.bots IS 'How many bots closed a trade on that day.';

CREATE VIEW report.rankings AS
SELECT r.as_of AS "time", r.day, r.bot_id, s.strategy_id, r.rank, r.rank_score, r.eligible, r.reason, r.is_active,
       r.weight_version
FROM bot_rankings AS r
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON VIEW report.rankings IS 'The ranking of each day; "time" is when it is true: the day''s end, or the last refresh.';
COMMENT ON COLUMN report.rankings.reason IS 'Why a bot is not ranked.';

CREATE VIEW report.allocations AS
SELECT as_of AS "time", day, bot_id, quote_currency, ticker, rank, target, amount, decision, reason
FROM fund_allocations;
COMMENT ON VIEW report.allocations IS 'What each bot was allocated on each day, and why; "time" is when it is true.';

CREATE VIEW report.beliefs AS
SELECT b.as_of AS "time", b.day, b.strategy_id, b.regime, b.win_rate, b.win_rate_low, b.win_rate_high, b.edge, b.edge_low,
       b.edge_high, b.confidence, b.effective_samples, w.weight
FROM strategy_beliefs AS b
LEFT JOIN strategy_weights AS w USING (day, strategy_id);
COMMENT ON VIEW report.beliefs IS 'What is believed of each strategy, over all trades and in each regime; "time" is when it '
    'is true. Intervals are 90 %.';
COMMENT ON COLUMN report.beliefs.weight IS 'The strategy''s weight of that day, the same in each of its regimes.';

CREATE VIEW report.regimes AS
SELECT open_time + timeframe_length(timeframe) AS "time", ticker, timeframe, label, p_trending, p_ranging, p_volatile
FROM market_regimes
WHERE isfinite(open_time);
COMMENT ON VIEW report.regimes IS 'The market regime told by each bar; "time" is the bar''s close.';

CREATE VIEW report.freshness AS
SELECT max(as_of) AS "time", asset, min(day) AS first_day, max(day) AS last_day, count(*) AS days,
       max(refreshed_at) AS refreshed_at, extract(epoch FROM now() - max(as_of))::double precision AS age_seconds
FROM refreshed_days
WHERE isfinite(as_of)
GROUP BY asset;
COMMENT ON VIEW report.freshness IS 'How fresh each asset is; "time" is when its latest figures are true.';
COMMENT ON COLUMN report.freshness.age_seconds IS 'How long ago that is; below 0 if the last day that was computed has not ended.';
