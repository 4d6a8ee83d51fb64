-- Which days lack market data: bars, order books and closed trades that one of %(assets)s of a day has not seen, one
-- statement and thus one snapshot. A bar or a book touches its day and every later one, a trade the day it closed on.
WITH RECURSIVE settled AS (
    SELECT coalesce((SELECT seen FROM settled_market), '1:1:'::pg_snapshot) AS seen
),
tickers AS (
    SELECT least((SELECT min(ticker) FROM price_bars), (SELECT min(ticker) FROM order_book_levels)) AS ticker
    UNION ALL
    SELECT least((SELECT min(ticker) FROM price_bars WHERE ticker > t.ticker),
                 (SELECT min(ticker) FROM order_book_levels WHERE ticker > t.ticker))
    FROM tickers AS t WHERE t.ticker IS NOT NULL
),
arrived AS (
    SELECT ticker, (open_time AT TIME ZONE 'UTC')::date AS day, recorded_xid
    FROM price_bars
    WHERE recorded_xid >= (SELECT pg_snapshot_xmin(seen) FROM settled)
      AND NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled))
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT ticker, (observed_at AT TIME ZONE 'UTC')::date, recorded_xid
    FROM order_book_levels
    WHERE recorded_xid >= (SELECT pg_snapshot_xmin(seen) FROM settled)
      AND NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled))
    GROUP BY 1, 2, 3
),
closed AS (
    SELECT (exit_time AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day, recorded_xid
    FROM trades
    WHERE status = 'closed' AND ticker IN (SELECT ticker FROM tickers)
      AND recorded_xid >= (SELECT pg_snapshot_xmin(seen) FROM settled)
      AND NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled))
    GROUP BY 1, 2
),
-- Trades that were settled before their ticker had market data.
met AS (
    SELECT DISTINCT (t.exit_time AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day
    FROM (SELECT ticker, min(day) AS since FROM arrived GROUP BY 1) AS a
    JOIN trades AS t ON t.ticker = a.ticker AND t.status = 'closed' AND t.exit_time > a.since::timestamp AT TIME ZONE 'UTC'
),
computed AS (
    SELECT day, seen FROM refreshed_days WHERE asset = ANY(%(assets)s)
),
known AS (
    SELECT day FROM refreshed_days WHERE asset = ANY(%(assets)s) GROUP BY 1 HAVING count(*) = cardinality(%(assets)s::text[])
),
lacking AS (
    SELECT c.day
    FROM (SELECT recorded_xid, min(day) AS day FROM arrived GROUP BY 1) AS a
    JOIN computed AS c ON c.day >= a.day AND NOT pg_visible_in_snapshot(a.recorded_xid, c.seen)
    UNION ALL
    SELECT c.day FROM closed JOIN computed AS c USING (day) WHERE NOT pg_visible_in_snapshot(closed.recorded_xid, c.seen)
    UNION ALL
    (SELECT day FROM arrived UNION SELECT day FROM closed UNION SELECT day FROM met EXCEPT SELECT day FROM known)
)
SELECT min(day) FILTER (WHERE day BETWEEN %(first)s AND %(today)s),
       max(day) FILTER (WHERE day BETWEEN %(first)s AND %(today)s),
       (SELECT max(recorded_xid::text::bigint)
        FROM (SELECT recorded_xid FROM arrived UNION ALL SELECT recorded_xid FROM closed) AS fresh),
       EXISTS (SELECT FROM lacking WHERE day > %(today)s),
       pg_current_snapshot()::text
FROM lacking
