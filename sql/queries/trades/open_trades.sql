-- The open trades of one bot, the oldest first.
SELECT t.trade_id, t.ticker, t.direction, t.status, nullif(t.entry_time, '-infinity') AS entry_time, t.entry_price, t.mark_price,
       t.notional, t.quote_currency
FROM trades AS t
WHERE t.bot_id = %(bot)s AND t.status <> 'closed'
ORDER BY t.entry_time, t.trade_id
LIMIT %(limit)s
