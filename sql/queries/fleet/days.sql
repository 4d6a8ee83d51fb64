-- What all bots of a currency made on each of the %(days)s days up to %(day)s, and since the first of them.
SELECT day, quote_currency, sum(trades)::bigint AS trades, sum(wins)::bigint AS wins, sum(pnl) AS pnl, sum(fees) AS fees
FROM bot_days_rows
JOIN bots USING (bot_id)
WHERE day > %(day)s - %(days)s::integer AND day <= %(day)s
GROUP BY day, quote_currency
ORDER BY quote_currency, day
