-- One bot's equity at the end of each computed day from %(first)s to %(last)s, without and with what was open. Without a
-- capital it begins at 0.
SELECT day, as_of, coalesce(capital, 0) + lifetime_pnl AS equity,
       CASE WHEN open_pnl IS NOT NULL THEN coalesce(capital, 0) + lifetime_pnl + open_pnl END AS equity_with_open,
       capital, capital_is_estimated, lifetime_pnl, open_pnl
FROM bot_metrics
WHERE bot_id = %(bot)s AND ticker = '*' AND day BETWEEN %(first)s AND %(last)s
ORDER BY day
