-- Every ticker and timeframe of which there are bars, found by hopping through the index instead of reading every bar.
WITH RECURSIVE hop AS (
    (SELECT ticker, timeframe FROM price_bars ORDER BY ticker, timeframe LIMIT 1)
    UNION ALL
    SELECT next.ticker, next.timeframe
    FROM hop
    CROSS JOIN LATERAL (
        SELECT b.ticker, b.timeframe FROM price_bars AS b
        WHERE (b.ticker, b.timeframe) > (hop.ticker, hop.timeframe)
        ORDER BY b.ticker, b.timeframe LIMIT 1
    ) AS next
)
SELECT ticker, timeframe FROM hop
