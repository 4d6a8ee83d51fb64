-- The trades of a bot that were open at an instant, the oldest first; the price that one is marked by is the latest.
SELECT ticker, direction, entry_time, entry_price, notional, quantity, CASE WHEN status <> 'closed' THEN mark_price END AS mark_price
FROM trades
WHERE bot_id = %(bot_id)s AND entry_time < %(as_of)s AND (exit_time IS NULL OR exit_time >= %(as_of)s)
ORDER BY entry_time, trade_id
