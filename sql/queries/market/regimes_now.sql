-- Per series (%(ticker)s and %(timeframe)s choose, NULL is any): the regime at its last labelled bar, the first bar of the
-- run of that label, the share of each label over the 30 days up to there, and when its last bar opens.
WITH series AS (
    SELECT * FROM unnest(%(tickers)s::text[], %(timeframes)s::text[]) AS s (ticker, timeframe)
    WHERE ticker = coalesce(%(ticker)s, ticker) AND timeframe = coalesce(%(timeframe)s, timeframe)
)
SELECT now.ticker, now.timeframe, now.open_time, now.label, now.p_trending, now.p_ranging, now.p_volatile,
       now.average_true_range, run.since, share.trending, share.ranging, share.volatile, share.neutral,
       (SELECT max(b.open_time) FROM price_bars AS b
        WHERE (b.ticker, b.timeframe) = (now.ticker, now.timeframe)) AS last_bar
FROM series AS s
CROSS JOIN LATERAL (
    SELECT * FROM market_regimes AS m
    WHERE (m.ticker, m.timeframe) = (s.ticker, s.timeframe) ORDER BY m.open_time DESC LIMIT 1
) AS now
CROSS JOIN LATERAL (
    SELECT min(m.open_time) AS since FROM market_regimes AS m
    WHERE (m.ticker, m.timeframe) = (s.ticker, s.timeframe) AND m.open_time > coalesce((
        SELECT max(o.open_time) FROM market_regimes AS o
        WHERE (o.ticker, o.timeframe) = (s.ticker, s.timeframe) AND o.label <> now.label), '-infinity')
) AS run
CROSS JOIN LATERAL (
    SELECT avg((m.label = 'TRENDING')::int)::float8 AS trending, avg((m.label = 'RANGING')::int)::float8 AS ranging,
           avg((m.label = 'VOLATILE')::int)::float8 AS volatile, avg((m.label = 'NEUTRAL')::int)::float8 AS neutral
    FROM market_regimes AS m
    WHERE (m.ticker, m.timeframe) = (s.ticker, s.timeframe) AND m.open_time > now.open_time - interval '30 days'
) AS share
ORDER BY now.ticker, now.timeframe
