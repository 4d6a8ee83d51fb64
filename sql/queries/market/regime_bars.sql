-- The last %(limit)s labelled bars of a series that open from %(first)s on and before %(before)s (NULL: any), the latest first.
SELECT m.open_time, m.label, m.p_trending, m.p_ranging, m.p_volatile, m.average_true_range, b.open, b.high, b.low, b.close,
       b.volume
FROM market_regimes AS m
JOIN price_bars AS b USING (ticker, timeframe, open_time)
WHERE (m.ticker, m.timeframe) = (%(ticker)s, %(timeframe)s)
  AND (%(first)s::timestamptz IS NULL OR m.open_time >= %(first)s)
  AND (%(before)s::timestamptz IS NULL OR m.open_time < %(before)s)
ORDER BY m.open_time DESC
LIMIT %(limit)s
