-- Each trade that was open at the end of a computed day up to $1, a row per such day: what it had gained by then at its last mark
-- price of a day up to that one, else at the last close of its ticker, less its entry fee; NULL without either. Numbers of
-- days since 1970. Marked as by positions_at, which knows only trades that were recorded while they were open.
WITH computed AS (
    SELECT least(max(day), $1) AS last FROM refreshed_days WHERE asset = 'bot_metrics'
),
held AS (
    SELECT t.trade_id, t.bot_id, t.ticker, '1970-01-01'::date + d.number AS day
    FROM computed
    JOIN trades AS t ON t.entry_time < day_end(computed.last)
    CROSS JOIN LATERAL generate_series(
        day_of(t.entry_time) - '1970-01-01'::date,
        least(day_of(CASE WHEN t.status = 'closed' THEN t.exit_time END) - 1, computed.last) - '1970-01-01'::date
    ) AS d (number)
    WHERE (t.status <> 'closed' OR day_of(t.entry_time) < day_of(t.exit_time))
),
closes AS (
    SELECT c.ticker, c.as_of, c.close
    FROM (SELECT array_agg(ticker) AS tickers, array_agg(day_end(day)) AS instants
          FROM (SELECT DISTINCT ticker, day FROM held) AS h) AS of
    CROSS JOIN LATERAL closes_at(of.tickers, of.instants) AS c
)
SELECT h.trade_id AS trade, h.bot_id AS bot, (h.day - '1970-01-01'::date)::bigint AS day,
       (day_of(t.entry_time) - '1970-01-01'::date)::bigint AS entry_day,
       coalesce(CASE WHEN t.status = 'closed' THEN day_of(t.exit_time) END - '1970-01-01'::date, 2147483647)::bigint AS exit_day,
       net_pnl('computed', t.contract_type, t.direction, t.notional, t.quantity, t.contract_multiplier, t.entry_price,
               coalesce(m.price, c.close), coalesce(t.entry_fee, 0), 0, NULL) AS worth,
       CASE WHEN t.status = 'closed' THEN t.pnl END AS pnl
FROM held AS h
JOIN trades AS t ON t.trade_id = h.trade_id
LEFT JOIN LATERAL last_mark(h.trade_id, h.day) AS m ON true
LEFT JOIN closes AS c ON c.ticker = h.ticker AND c.as_of = day_end(h.day)
