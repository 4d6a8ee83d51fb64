-- How many bars of a series open before %(since)s: the place of the first one from there on.
SELECT count(*) FROM price_bars WHERE (ticker, timeframe) = (%(ticker)s, %(timeframe)s) AND open_time < %(since)s
