-- What the ranking reads of the days $1 to $2: each bot's row over all its tickers.
SELECT * FROM bot_metrics WHERE day BETWEEN $1 AND $2 AND ticker = '*' ORDER BY day, bot_id
