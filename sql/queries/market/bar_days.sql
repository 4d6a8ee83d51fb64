-- Bars per UTC day and series that open from $1 on and before $2, and those that are missing: where the same time of the
-- week before or after has a bar, within the series. So nights and weekends of an exchange are none.
WITH series AS (
    SELECT s.ticker, s.timeframe, edge.first_open, edge.last_open
    FROM unnest($3::text[], $4::text[]) AS s (ticker, timeframe)
    CROSS JOIN LATERAL (
        SELECT min(open_time) AS first_open, max(open_time) AS last_open
        FROM price_bars AS b WHERE (b.ticker, b.timeframe) = (s.ticker, s.timeframe)
    ) AS edge
),
present AS (
    SELECT b.ticker, b.timeframe, b.open_time
    FROM series AS s
    JOIN price_bars AS b ON (b.ticker, b.timeframe) = (s.ticker, s.timeframe)
    WHERE b.open_time >= $1 AND b.open_time < $2
),
expected AS (
    SELECT b.ticker, b.timeframe, b.open_time + shift AS open_time
    FROM series AS s
    CROSS JOIN (VALUES (interval '168 hours'), (interval '-168 hours')) AS week (shift)
    JOIN price_bars AS b ON (b.ticker, b.timeframe) = (s.ticker, s.timeframe)
    WHERE b.open_time >= $1::timestamptz - shift AND b.open_time < $2::timestamptz - shift
      AND b.open_time + shift > s.first_open AND b.open_time + shift < s.last_open
),
missing AS (
    SELECT ticker, timeframe, open_time FROM expected
    EXCEPT
    SELECT ticker, timeframe, open_time FROM present
),
counted AS (
    SELECT ticker, timeframe, open_time, 1 AS bars, 0 AS gaps FROM present
    UNION ALL
    SELECT ticker, timeframe, open_time, 0, 1 FROM missing
)
SELECT day_of(open_time) AS day, ticker, timeframe, sum(bars)::bigint AS bars, sum(gaps)::bigint AS gaps
FROM counted
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
