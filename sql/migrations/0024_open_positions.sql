-- Open positions: which there were at an as_of, what they were worth there, and what rests on that. Also a spread of
-- results that is never 0, and ratios with an interval.

-- A position is a trade that was recorded while it was open: what had closed when it was first recorded never was one here.
-- From its entry until its exit. import_id: the import that told that it was open, 0 for whoever writes trades directly.
-- recorded_xid: what last told what it is; that it closes is a change of its exit.
CREATE TABLE positions (
    trade_id     bigint PRIMARY KEY,
    ticker       text NOT NULL,
    entry_time   timestamptz NOT NULL,
    exit_time    timestamptz,
    import_id    bigint NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX positions_exit ON positions (exit_time);
CREATE INDEX positions_ticker ON positions (ticker, exit_time);
CREATE INDEX positions_recorded ON positions (recorded_xid);
COMMENT ON TABLE positions IS 'Trades that were recorded while they were open, kept by triggers of trades.';

-- The last mark price of each open trade on each day by each import, and by direct writers (0), so that a past day is marked
-- by what was known then and an import can be undone. NULL: it was taken back.
CREATE TABLE position_marks (
    trade_id     bigint NOT NULL REFERENCES positions ON DELETE CASCADE,
    day          date NOT NULL,
    import_id    bigint NOT NULL,
    price        double precision CHECK (price > 0 AND price < 'infinity'),
    marked_at    timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (trade_id, day, import_id)
);
CREATE INDEX position_marks_import ON position_marks (import_id);
CREATE INDEX positions_import ON positions (import_id);
CREATE INDEX position_marks_recorded ON position_marks (recorded_xid);
COMMENT ON TABLE position_marks IS 'The last mark price of each open trade on each UTC day, kept by triggers of trades.';

-- When a mark price was true: when it was written, unless the session knows better (a file's new trades: its last time).
-- NULL where it is no news (`known`: trades that come back as they were).
CREATE FUNCTION mark_time() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE coalesce(current_setting('knowdefeat.marked_at', true), '')
               WHEN '' THEN clock_timestamp() WHEN 'known' THEN NULL
               ELSE current_setting('knowdefeat.marked_at')::timestamptz END
$$;

CREATE FUNCTION positions_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.ticker, NEW.direction, NEW.entry_time, NEW.entry_price, NEW.notional, NEW.quantity,
                             NEW.contract_multiplier, NEW.contract_type)
            IS NOT DISTINCT FROM (OLD.ticker, OLD.direction, OLD.entry_time, OLD.entry_price, OLD.notional, OLD.quantity,
                                  OLD.contract_multiplier, OLD.contract_type) THEN
        UPDATE positions SET exit_time = NEW.exit_time
        WHERE trade_id = NEW.trade_id AND exit_time IS DISTINCT FROM NEW.exit_time;
    ELSE
        INSERT INTO positions (trade_id, ticker, entry_time, exit_time, import_id)
        VALUES (NEW.trade_id, NEW.ticker, NEW.entry_time, NEW.exit_time, coalesce(NEW.import_id, 0))
        ON CONFLICT (trade_id) DO UPDATE
        SET ticker = excluded.ticker, entry_time = excluded.entry_time, exit_time = excluded.exit_time,
            recorded_at = excluded.recorded_at, recorded_xid = excluded.recorded_xid;
        IF TG_OP = 'UPDATE' THEN
            PERFORM note_change('positions', OLD.entry_time);
        END IF;
    END IF;
    IF NEW.status <> 'closed' AND (CASE WHEN TG_OP = 'UPDATE' THEN NEW.mark_price IS DISTINCT FROM OLD.mark_price
                                        ELSE NEW.mark_price IS NOT NULL END) THEN
        INSERT INTO position_marks AS known (trade_id, day, import_id, price, marked_at)
            SELECT NEW.trade_id, day_of(at), coalesce(NEW.import_id, 0), NEW.mark_price, at FROM mark_time() AS at
            WHERE at IS NOT NULL
        ON CONFLICT (trade_id, day, import_id) DO UPDATE SET price = excluded.price, marked_at = excluded.marked_at,
            recorded_at = excluded.recorded_at, recorded_xid = excluded.recorded_xid
        WHERE excluded.marked_at >= known.marked_at;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION positions_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM positions;
    ELSE
        PERFORM note_change('positions', (SELECT min(p.entry_time) FROM positions AS p JOIN changed AS c USING (trade_id)));
        DELETE FROM positions AS p USING changed AS c WHERE c.trade_id = p.trade_id;
    END IF;
    RETURN NULL;
END $$;
-- The condition is evaluated without a function call: trades that come closed pay next to nothing.
CREATE TRIGGER positions_open AFTER INSERT ON trades FOR EACH ROW
    WHEN (NEW.status <> 'closed') EXECUTE FUNCTION positions_follow();
CREATE TRIGGER positions_change AFTER UPDATE ON trades FOR EACH ROW
    WHEN (OLD.status <> 'closed') EXECUTE FUNCTION positions_follow();
CREATE TRIGGER positions_deleted AFTER DELETE ON trades REFERENCING OLD TABLE AS changed FOR EACH STATEMENT
    EXECUTE FUNCTION positions_deleted();
CREATE TRIGGER positions_truncated AFTER TRUNCATE ON trades FOR EACH STATEMENT EXECUTE FUNCTION positions_deleted();

INSERT INTO positions (trade_id, ticker, entry_time, import_id)
    SELECT trade_id, ticker, entry_time, coalesce(import_id, 0) FROM trades WHERE status <> 'closed';
INSERT INTO position_marks (trade_id, day, import_id, price, marked_at)
    SELECT trade_id, day_of(recorded_at), coalesce(import_id, 0), mark_price, recorded_at FROM trades
    WHERE status <> 'closed' AND mark_price IS NOT NULL;

-- Rules of one position and of a bot's positions together. The same as core's functions of these names.

-- The deepest fall of equity below its peak in percent, where equity ends `below_peak` under `peak_equity`, open positions
-- aside.
CREATE FUNCTION max_drawdown_with_open(
    max_drawdown double precision, below_peak double precision, peak_equity double precision, open_pnl double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN open_pnl IS NULL THEN max_drawdown
                ELSE greatest(max_drawdown, 100 * (greatest(below_peak - open_pnl, 0) / peak_equity)) END
$$;
CREATE FUNCTION open_loss_exceeds_gain(open_pnl double precision, gain double precision)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(open_pnl < 0 AND -open_pnl > coalesce(gain, 0), false)
$$;

-- The positions that were open at each instant, which is that at which the day's figures are true, and what each had gained;
-- NULL where that is not known. Days and instants ascend together. Marked by the last mark price of a day up to that one,
-- else by the close of the ticker's last bar that had closed by then (of several the shortest).
CREATE FUNCTION positions_at(days date[], instants timestamptz[])
RETURNS TABLE (day date, trade_id bigint, bot_id integer, ticker text, entry_time timestamptz, pnl double precision)
LANGUAGE sql STABLE AS $$
    WITH asked AS (
        SELECT a.day, a.as_of FROM unnest(days, instants) AS a (day, as_of)
    ),
    -- A position is laid out over the days that it touches, as a comparison with every day would take as long as it looks.
    held AS (
        SELECT a.day, a.as_of, p.trade_id, p.ticker
        FROM positions AS p
        CROSS JOIN LATERAL generate_series(
            greatest(day_of(p.entry_time), days[1]) - days[1],
            least(day_of(p.exit_time), days[cardinality(days)]) - days[1]
        ) AS number
        JOIN asked AS a ON a.day = days[1] + number AND p.entry_time < a.as_of
            AND (p.exit_time IS NULL OR p.exit_time >= a.as_of)
        WHERE p.exit_time IS NULL OR p.exit_time >= instants[1]
    ),
    series AS (
        SELECT h.ticker, s.timeframe, timeframe_length(s.timeframe) AS length
        FROM (SELECT DISTINCT held.ticker FROM held) AS h
        CROSS JOIN LATERAL (
            WITH RECURSIVE hop AS (
                SELECT min(b.timeframe) AS timeframe FROM price_bars AS b WHERE b.ticker = h.ticker
                UNION ALL
                SELECT (SELECT min(b.timeframe) FROM price_bars AS b
                        WHERE b.ticker = h.ticker AND b.timeframe > hop.timeframe)
                FROM hop WHERE hop.timeframe IS NOT NULL
            )
            SELECT hop.timeframe FROM hop WHERE hop.timeframe IS NOT NULL
        ) AS s
    ),
    bars AS (
        SELECT DISTINCT ON (h.day, h.ticker) h.day, h.ticker, b.close
        FROM (SELECT DISTINCT held.day, held.as_of, held.ticker FROM held) AS h
        JOIN series AS s ON s.ticker = h.ticker
        CROSS JOIN LATERAL (
            SELECT b.close, b.open_time FROM price_bars AS b
            WHERE b.ticker = s.ticker AND b.timeframe = s.timeframe AND b.open_time <= h.as_of - s.length
            ORDER BY b.open_time DESC LIMIT 1
        ) AS b
        ORDER BY h.day, h.ticker, b.open_time + s.length DESC, s.length
    )
    SELECT h.day, h.trade_id, t.bot_id, h.ticker, t.entry_time,
           -- Before fees and funding: they count once it is closed.
           net_pnl('computed', t.contract_type, t.direction, t.notional, t.quantity, t.contract_multiplier, t.entry_price,
                   coalesce(m.price, b.close), 0, 0, NULL)
    FROM held AS h
    JOIN trades AS t ON t.trade_id = h.trade_id
    LEFT JOIN LATERAL (
        -- Of a day that still runs every mark is known already.
        SELECT k.price FROM position_marks AS k
        WHERE k.trade_id = h.trade_id AND (k.day <= h.day OR h.as_of < day_end(h.day))
        ORDER BY k.day DESC, k.marked_at DESC, k.import_id DESC LIMIT 1
    ) AS m ON true
    LEFT JOIN bars AS b ON b.day = h.day AND b.ticker = h.ticker
        AND b.close >= 1e-18 AND b.close < 1e15 -- as prices of trades: what cannot be computed with marks nothing
$$;

-- What is open of each bot, by ticker and over all (`*`). It changes as prices do, though nothing trades, and so stands by
-- itself: rows of bot_metrics stay as they are.
CREATE TABLE open_positions (
    day           date NOT NULL,
    bot_id        integer NOT NULL,
    ticker        text NOT NULL,
    open_trades   bigint NOT NULL,
    open_pnl      double precision,
    unmarked_open bigint NOT NULL,
    oldest_open   timestamptz NOT NULL,
    PRIMARY KEY (day, bot_id, ticker)
);
-- As for the other tables whose days are replaced (see 0007).
ALTER TABLE open_positions SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

ALTER TABLE bot_metrics_rows
    ADD COLUMN sharpe_low double precision,
    ADD COLUMN sharpe_high double precision,
    ADD COLUMN below_peak double precision,
    ADD COLUMN peak_equity double precision;
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
       max_drawdown_with_open(r.max_drawdown, r.below_peak, r.peak_equity, o.open_pnl) AS max_drawdown_with_open
FROM bot_metrics_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_metrics' AND m.day = r.day
CROSS JOIN LATERAL (SELECT r.ticker UNION ALL SELECT r.only_ticker WHERE r.only_ticker IS NOT NULL) AS t (ticker)
LEFT JOIN open_positions AS o ON o.day = r.day AND o.bot_id = r.bot_id AND o.ticker = t.ticker;

CREATE OR REPLACE VIEW bot_rankings AS
SELECT r.day, m.as_of, r.bot_id,
       r.rank, r.rank_score, r.eligible, r.reason, r.is_active, r.weight_version, r.one_hour_performance_points,
       r.two_hour_performance_points, r.one_day_performance_points, r.one_week_performance_points,
       r.one_month_performance_points, r.avg_win_rate_points, r.avg_drawdown_points, r.profit_per_second_points,
       r.price_model_score_points, r.volume_model_score_points, r.price_wall_score_points, r.win_streak_2_points,
       r.win_streak_3_points, r.win_streak_4_points, r.win_streak_5_points, r.win_streak_6_points,
       r.win_streak_7_points,
       CASE WHEN open_loss_exceeds_gain(o.open_pnl, b.total_pnl) THEN 'open loss exceeds the gain of 30 days' END AS flag
FROM bot_rankings_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_rankings' AND m.day = r.day
LEFT JOIN open_positions AS o ON o.day = r.day AND o.bot_id = r.bot_id AND o.ticker = '*'
LEFT JOIN bot_metrics_rows AS b ON b.day = r.day AND b.bot_id = r.bot_id AND b.ticker = '*';

CREATE OR REPLACE VIEW report.rankings AS
SELECT r.as_of AS "time", r.day, r.bot_id, s.strategy_id, r.rank, r.rank_score, r.eligible, r.reason, r.is_active,
       r.weight_version, b.name AS bot, r.flag
FROM bot_rankings AS r
LEFT JOIN bot_strategies AS s USING (bot_id)
LEFT JOIN bots AS b USING (bot_id);
COMMENT ON COLUMN report.rankings.flag IS 'What a person should look at before the bot gets new funds.';

-- Whoever writes trades needs no right on what follows from them (see 0016).
DO $$
DECLARE
    trusted text;
BEGIN
    FOREACH trusted IN ARRAY ARRAY['positions_follow', 'positions_deleted'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp',
                       trusted, current_schema());
    END LOOP;
END $$;

-- As before, with what open positions rest on: which there are, their marks, and bars of their tickers, which count once
-- they have closed; halts that only a person ends, which the risk rules record, as they count on later days too; and code
-- that computes figures otherwise.
CREATE OR REPLACE VIEW changes AS
SELECT 'trades' AS input, exit_time AS changed_at, recorded_xid, recorded_at, 1 AS trades FROM closed_trades
UNION ALL
SELECT 'scores', t.exit_time, s.recorded_xid, s.recorded_at, 0
FROM trade_scores AS s JOIN trades AS t USING (trade_id) WHERE t.status = 'closed'
UNION ALL
SELECT 'weights', in_force_from, recorded_xid, created_at, 0 FROM weight_versions
UNION ALL
SELECT 'next_weights', in_force_from - interval '1 microsecond', recorded_xid, created_at, 0 FROM weight_versions
UNION ALL
SELECT 'activity', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0
FROM bot_events WHERE kind IN ('activated', 'deactivated')
UNION ALL
SELECT 'resumption', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0
FROM bot_events WHERE kind = 'resumed'
UNION ALL
SELECT 'lasting_halts', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0
FROM bot_events WHERE kind = 'halted' AND figures ? 'open_loss'
UNION ALL
SELECT 'funds', in_force_from - interval '1 microsecond', recorded_xid, recorded_at, 0 FROM fund_settings
UNION ALL
SELECT 'bars', open_time, recorded_xid, recorded_at, 0 FROM price_bars
UNION ALL
SELECT 'books', observed_at, recorded_xid, recorded_at, 0 FROM order_book_levels
UNION ALL
SELECT 'positions', entry_time, recorded_xid, recorded_at, 0 FROM positions
UNION ALL
SELECT 'marks', marked_at, recorded_xid, recorded_at, 0 FROM position_marks
UNION ALL
SELECT 'marking_bars', b.open_time + timeframe_length(b.timeframe) - interval '1 microsecond', b.recorded_xid,
       b.recorded_at, 0
FROM price_bars AS b
WHERE EXISTS (
    SELECT FROM positions AS p
    WHERE p.ticker = b.ticker
      AND (p.exit_time IS NULL OR p.exit_time >= b.open_time + timeframe_length(b.timeframe))
)
UNION ALL
SELECT input, since, recorded_xid, recorded_at, 0 FROM input_changes;

SELECT note_change('formulas', '-infinity') WHERE EXISTS (SELECT FROM refreshed_days);
