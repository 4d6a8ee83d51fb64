-- The bars of ticker $1 and timeframe $2 that open from $3 on and before $4, and the $5 bars before them.
(SELECT open_time, open, high, low, close, volume FROM price_bars
 WHERE (ticker, timeframe) = ($1, $2) AND open_time < $3
 ORDER BY open_time DESC LIMIT $5)
UNION ALL
(SELECT open_time, open, high, low, close, volume FROM price_bars
 WHERE (ticker, timeframe) = ($1, $2) AND open_time >= $3 AND open_time < $4)
ORDER BY open_time
