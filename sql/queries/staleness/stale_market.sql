-- The days that lack market data; one statement and thus one snapshot. A bar or an order book touches its day and every
-- later one, a closed trade in a ticker of theirs the day on which it closed. Rows that are deleted touch none.
-- Parameters: %(settled)s the snapshot whose changes need not be looked at again; %(assets)s the family; the days from
-- %(first)s to that of %(as_of)s (now) count.
WITH RECURSIVE tickers AS (
    SELECT least((SELECT min(ticker) FROM price_bars), (SELECT min(ticker) FROM order_book_levels)) AS ticker
    UNION ALL
    SELECT least((SELECT min(ticker) FROM price_bars WHERE ticker > t.ticker),
                 (SELECT min(ticker) FROM order_book_levels WHERE ticker > t.ticker))
    FROM tickers AS t WHERE t.ticker IS NOT NULL
),
arrived AS (
    SELECT ticker, day_of(open_time) AS day, recorded_xid, min(recorded_at) AS since
    FROM price_bars
    WHERE recorded_xid >= pg_snapshot_xmin(%(settled)s::pg_snapshot)
      AND NOT pg_visible_in_snapshot(recorded_xid, %(settled)s::pg_snapshot)
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT ticker, day_of(observed_at), recorded_xid, min(recorded_at)
    FROM order_book_levels
    WHERE recorded_xid >= pg_snapshot_xmin(%(settled)s::pg_snapshot)
      AND NOT pg_visible_in_snapshot(recorded_xid, %(settled)s::pg_snapshot)
    GROUP BY 1, 2, 3
),
closed AS (
    SELECT day, recorded_xid, min(recorded_at) AS since
    FROM closed_trades
    WHERE ticker IN (SELECT ticker FROM tickers)
      AND recorded_xid >= pg_snapshot_xmin(%(settled)s::pg_snapshot)
      AND NOT pg_visible_in_snapshot(recorded_xid, %(settled)s::pg_snapshot)
    GROUP BY 1, 2
),
-- Trades that were settled before their ticker had market data.
met AS (
    SELECT t.day, a.since
    FROM (SELECT ticker, min(day) AS day, min(since) AS since FROM arrived GROUP BY 1) AS a
    JOIN closed_trades AS t ON t.ticker = a.ticker AND t.exit_time >= day_start(a.day)
    GROUP BY 1, 2
),
computed AS (
    SELECT asset, day, seen FROM refreshed_days WHERE asset = ANY(%(assets)s::text[])
),
known AS (
    SELECT day FROM computed GROUP BY 1 HAVING count(*) = cardinality(%(assets)s::text[])
),
touched AS (
    SELECT day, since FROM arrived UNION ALL SELECT day, since FROM closed UNION ALL SELECT day, since FROM met
),
stale AS (
    SELECT c.day, a.since
    FROM (SELECT recorded_xid, min(day) AS day, min(since) AS since FROM arrived GROUP BY 1) AS a
    JOIN computed AS c ON c.day >= a.day AND NOT pg_visible_in_snapshot(a.recorded_xid, c.seen)
    UNION ALL
    SELECT c.day, closed.since FROM closed JOIN computed AS c USING (day)
    WHERE NOT pg_visible_in_snapshot(closed.recorded_xid, c.seen)
    UNION ALL
    SELECT day, since FROM touched WHERE day NOT IN (SELECT day FROM known)
),
newest AS (
    SELECT max(recorded_xid::text::bigint) AS xid
    FROM (SELECT recorded_xid FROM arrived UNION ALL SELECT recorded_xid FROM closed) AS fresh
)
SELECT coalesce(array_agg(DISTINCT day ORDER BY day) FILTER (WHERE day BETWEEN %(first)s AND day_of(%(as_of)s)), '{}')
           AS days,
       0::bigint AS trades,
       min(since) FILTER (WHERE day BETWEEN %(first)s AND day_of(%(as_of)s)) AS since,
       (SELECT xid FROM newest) AS newest,
       (SELECT count(DISTINCT day) FROM computed) AS computed_days,
       CASE WHEN (SELECT xid FROM newest) IS NOT NULL
                 AND coalesce(bool_and(day < %(first)s), true) THEN pg_current_snapshot()::text END AS settled
FROM stale
