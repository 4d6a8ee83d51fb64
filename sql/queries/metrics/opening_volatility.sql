-- Each bot's volatility and group at the end of the day $1, if that is computed: by which the results of the day after it
-- are measured.
SELECT bot_id, volatility, main_ticker, main_direction
FROM bot_metrics
WHERE day = $1 AND ticker = '*' AND as_of = day_end(day)
