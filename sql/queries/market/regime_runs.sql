-- The runs of one label over the last 30 days of each series (%(ticker)s and %(timeframe)s choose, NULL is any), the
-- latest first.
WITH labelled AS (
    SELECT ticker, timeframe, open_time, label,
           row_number() OVER (PARTITION BY ticker, timeframe ORDER BY open_time)
           - row_number() OVER (PARTITION BY ticker, timeframe, label ORDER BY open_time) AS island
    FROM unnest(%(tickers)s::text[], %(timeframes)s::text[]) AS s (ticker, timeframe)
    JOIN market_regimes AS m USING (ticker, timeframe)
    WHERE ticker = coalesce(%(ticker)s, ticker) AND timeframe = coalesce(%(timeframe)s, timeframe)
      AND m.open_time > (SELECT max(o.open_time) FROM market_regimes AS o
                         WHERE (o.ticker, o.timeframe) = (s.ticker, s.timeframe)) - interval '30 days'
)
SELECT ticker, timeframe, label, min(open_time) AS since, max(open_time) AS open_time, count(*) AS bars
FROM labelled
GROUP BY ticker, timeframe, label, island
ORDER BY ticker, timeframe, since DESC
