-- One bot's equity at the end of each computed day from %(first)s to %(last)s, without and with what was open. All days stand on
-- the capital of the last: one that was stated or estimated anew meanwhile is no gain. Without a capital it begins at 0.
SELECT day, as_of, coalesce(capital, 0) + lifetime_pnl AS equity,
       CASE WHEN open_pnl IS NOT NULL THEN coalesce(capital, 0) + lifetime_pnl + open_pnl END AS equity_with_open,
       capital, capital_is_estimated, lifetime_pnl, open_pnl
FROM (SELECT day, as_of, lifetime_pnl, open_pnl, first_value(capital) OVER latest AS capital,
             first_value(capital_is_estimated) OVER latest AS capital_is_estimated
      FROM bot_metrics
      WHERE bot_id = %(bot)s AND ticker = '*' AND day BETWEEN %(first)s AND %(last)s
      WINDOW latest AS (ORDER BY day DESC)) AS m
ORDER BY day
