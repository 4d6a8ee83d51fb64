-- The entries of the trades in the tickers $3 with $1 <= exit_time < $2.
SELECT trade_id, ticker, direction, entry_time, day
FROM closed_trades
WHERE exit_time >= $1 AND exit_time < $2 AND ticker = ANY($3)
