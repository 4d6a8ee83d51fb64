-- What marks an open trade: one rule for the positions of an instant, for what was earned in a night and for replays.

-- The close of each ticker's last bar that had closed by an instant (of several the shortest): tickers[i] at instants[i].
-- No row where there is none, or one that is no price of a trade: what cannot be computed with marks nothing.
CREATE FUNCTION closes_at(tickers text[], instants timestamptz[])
RETURNS TABLE (ticker text, as_of timestamptz, close double precision)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT DISTINCT a.ticker, a.as_of FROM unnest(tickers, instants) AS a (ticker, as_of)
    ),
    series AS (
        SELECT a.ticker, s.timeframe, timeframe_length(s.timeframe) AS length
        FROM (SELECT DISTINCT asked.ticker FROM asked) AS a
        CROSS JOIN LATERAL (
            WITH RECURSIVE hop AS (
                SELECT min(b.timeframe) AS timeframe FROM price_bars AS b WHERE b.ticker = a.ticker
                UNION ALL
                SELECT (SELECT min(b.timeframe) FROM price_bars AS b
                        WHERE b.ticker = a.ticker AND b.timeframe > hop.timeframe)
                FROM hop WHERE hop.timeframe IS NOT NULL
            )
            SELECT hop.timeframe FROM hop WHERE hop.timeframe IS NOT NULL
        ) AS s
    ),
    last AS (
        SELECT DISTINCT ON (a.ticker, a.as_of) a.ticker, a.as_of, b.close
        FROM asked AS a
        JOIN series AS s ON s.ticker = a.ticker
        CROSS JOIN LATERAL (
            SELECT p.close, p.open_time FROM price_bars AS p
            WHERE p.ticker = s.ticker AND p.timeframe = s.timeframe AND p.open_time <= a.as_of - s.length
            ORDER BY p.open_time DESC LIMIT 1
        ) AS b
        ORDER BY a.ticker, a.as_of, b.open_time + s.length DESC, s.length
    )
    SELECT l.ticker, l.as_of, l.close FROM last AS l WHERE l.close >= 1e-18 AND l.close < 1e15
$$;

-- The last mark price of a trade of a day up to `until`; no row without one, NULL where the last one was taken back.
CREATE FUNCTION last_mark(of_trade bigint, until date) RETURNS TABLE (price double precision)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1 AS $$
    SELECT k.price FROM position_marks AS k
    WHERE k.trade_id = of_trade AND k.day <= until
    ORDER BY k.day DESC, k.marked_at DESC, k.import_id DESC LIMIT 1
$$;

-- As before, by this rule: the positions that were open at each instant, which is that at which the day's figures are true,
-- and what each had gained; NULL where that is not known. Days and instants ascend together. Marked by the last mark price
-- of a day up to that one, else by the last close of its ticker.
CREATE OR REPLACE FUNCTION positions_at(days date[], instants timestamptz[])
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
    closes AS (
        SELECT c.*
        FROM (SELECT array_agg(h.ticker) AS tickers, array_agg(h.as_of) AS instants
              FROM (SELECT DISTINCT held.ticker, held.as_of FROM held) AS h) AS of
        CROSS JOIN LATERAL closes_at(of.tickers, of.instants) AS c
    )
    SELECT h.day, h.trade_id, t.bot_id, h.ticker, t.entry_time,
           -- Before fees and funding: they count once it is closed.
           net_pnl('computed', t.contract_type, t.direction, t.notional, t.quantity, t.contract_multiplier, t.entry_price,
                   coalesce(m.price, c.close), 0, 0, NULL)
    FROM held AS h
    JOIN trades AS t ON t.trade_id = h.trade_id
    -- Of a day that still runs every mark is known already.
    LEFT JOIN LATERAL last_mark(h.trade_id, CASE WHEN h.as_of < day_end(h.day) THEN 'infinity' ELSE h.day END) AS m ON true
    LEFT JOIN closes AS c ON c.ticker = h.ticker AND c.as_of = h.as_of
$$;
