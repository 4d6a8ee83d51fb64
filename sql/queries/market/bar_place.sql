-- How many bars of a series open before %(since)s, which is the place of the first one from there on; and how many open
-- from there on and before %(until)s.
SELECT count(*) FILTER (WHERE open_time < %(since)s), count(*) FILTER (WHERE open_time >= %(since)s)
FROM price_bars
WHERE (ticker, timeframe) = (%(ticker)s, %(timeframe)s) AND open_time < %(until)s
