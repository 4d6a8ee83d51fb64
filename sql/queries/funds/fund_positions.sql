-- The open positions of the days %(days)s at %(as_of)s that could be marked, and what each had gained.
SELECT day, bot_id, entry_time, pnl
FROM positions_at(%(days)s::date[], %(as_of)s::timestamptz[])
WHERE pnl IS NOT NULL
ORDER BY day, bot_id, trade_id
