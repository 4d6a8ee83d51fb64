-- One bot's computed days, over all its tickers or by ticker, the latest %(limit)s before %(before)s (null: of all) first.
SELECT day, CASE WHEN %(by_ticker)s THEN ticker ELSE '*' END AS ticker, sum(trades)::bigint AS trades,
       sum(wins)::bigint AS wins, sum(pnl) AS pnl, sum(fees) AS fees, sum(open_pnl) AS open_pnl
FROM bot_days
WHERE bot_id = %(bot)s AND (%(before)s::date IS NULL OR day < %(before)s)
GROUP BY 1, 2
ORDER BY 1 DESC, 2
LIMIT %(limit)s
