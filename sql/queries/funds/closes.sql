-- The close of the last bar of each of %(tickers)s that had closed by each of %(instants)s (of several the shortest), as
-- positions_at marks open positions: the number of the instant from 0, the ticker, the price.
SELECT i.number - 1, t.ticker, b.close
FROM unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS i (as_of, number)
CROSS JOIN unnest(%(tickers)s::text[]) AS t (ticker)
CROSS JOIN LATERAL (
    SELECT b.close
    FROM unnest(%(timeframes)s::text[]) AS f (timeframe)
    CROSS JOIN LATERAL (
        SELECT p.close, p.open_time + timeframe_length(f.timeframe) AS closed_at
        FROM price_bars AS p
        WHERE p.ticker = t.ticker AND p.timeframe = f.timeframe
            AND p.open_time <= i.as_of - timeframe_length(f.timeframe)
        ORDER BY p.open_time DESC LIMIT 1
    ) AS b
    ORDER BY b.closed_at DESC, timeframe_length(f.timeframe) LIMIT 1
) AS b
WHERE b.close >= 1e-18 AND b.close < 1e15 -- as prices of trades
