-- Each trade that was open at the end of a computed day up to $1, a row per such day: what it had gained by then at its last mark price
-- of a day up to that one, else at the close of its ticker's last bar that had closed by then (of several the shortest), less
-- its entry fee; NULL without either. Numbers of days since 1970. Marked as by positions_at, which knows only trades that
-- were recorded while they were open.
WITH computed AS (
    SELECT least(max(day), $1) AS last FROM refreshed_days WHERE asset = 'bot_metrics'
),
held AS (
    SELECT t.trade_id, t.bot_id, t.ticker, d.number AS day
    FROM computed
    JOIN trades AS t ON t.entry_time < day_end(computed.last)
    CROSS JOIN LATERAL generate_series(
        day_of(t.entry_time) - '1970-01-01'::date,
        least(day_of(CASE WHEN t.status = 'closed' THEN t.exit_time END) - 1, computed.last) - '1970-01-01'::date
    ) AS d (number)
    WHERE (t.status <> 'closed' OR day_of(t.entry_time) < day_of(t.exit_time))
),
series AS (
    SELECT h.ticker, b.timeframe, timeframe_length(b.timeframe) AS length
    FROM (SELECT DISTINCT ticker FROM held) AS h
    CROSS JOIN LATERAL (SELECT DISTINCT timeframe FROM price_bars AS p WHERE p.ticker = h.ticker) AS b
),
closes AS (
    SELECT DISTINCT ON (h.ticker, h.day) h.ticker, h.day, b.close
    FROM (SELECT DISTINCT ticker, day FROM held) AS h
    JOIN series AS s ON s.ticker = h.ticker
    CROSS JOIN LATERAL (
        SELECT p.close, p.open_time FROM price_bars AS p
        WHERE p.ticker = s.ticker AND p.timeframe = s.timeframe
          AND p.open_time <= day_end('1970-01-01'::date + h.day) - s.length
        ORDER BY p.open_time DESC LIMIT 1
    ) AS b
    ORDER BY h.ticker, h.day, b.open_time + s.length DESC, s.length
)
SELECT h.trade_id AS trade, h.bot_id AS bot, h.day::bigint AS day,
       (day_of(t.entry_time) - '1970-01-01'::date)::bigint AS entry_day,
       coalesce(CASE WHEN t.status = 'closed' THEN day_of(t.exit_time) END - '1970-01-01'::date, 2147483647)::bigint AS exit_day,
       net_pnl('computed', t.contract_type, t.direction, t.notional, t.quantity, t.contract_multiplier, t.entry_price,
               coalesce(m.price, c.close), coalesce(t.entry_fee, 0), 0, NULL) AS worth,
       CASE WHEN t.status = 'closed' THEN t.pnl END AS pnl
FROM held AS h
JOIN trades AS t ON t.trade_id = h.trade_id
LEFT JOIN LATERAL (
    SELECT k.price FROM position_marks AS k
    WHERE k.trade_id = h.trade_id AND k.day <= '1970-01-01'::date + h.day
    ORDER BY k.day DESC, k.marked_at DESC, k.import_id DESC LIMIT 1
) AS m ON true
LEFT JOIN closes AS c ON c.ticker = h.ticker AND c.day = h.day
    AND c.close >= 1e-18 AND c.close < 1e15 -- as prices of trades: what cannot be computed with marks nothing
