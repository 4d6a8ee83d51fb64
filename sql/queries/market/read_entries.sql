-- The entries of the trades in the tickers $3 that closed after $1 and until $2.
SELECT trade_id, ticker, direction, entry_time, (exit_time AT TIME ZONE 'UTC' - interval '1 microsecond')::date AS day
FROM trades
WHERE status = 'closed' AND exit_time > $1 AND exit_time <= $2 AND ticker = ANY($3)
