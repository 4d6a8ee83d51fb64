-- Closed trades with ids of their own that are alike in everything else: what a trade and a copy of it would look like.
SELECT day_of(exit_time) AS day, bot_id, ticker, direction, entry_time, exit_time, entry_price, exit_price, notional, quantity, count(*) AS trades,
       array_to_string((array_agg(source_trade_id ORDER BY trade_id))[1:3], ', ') AS first_ids
FROM trades
WHERE status = 'closed' AND exit_time >= day_start(%(first)s) AND exit_time < day_end(%(last)s)
GROUP BY bot_id, ticker, direction, entry_time, exit_time, entry_price, exit_price, notional, quantity
HAVING count(*) > 1
ORDER BY exit_time, bot_id, ticker
