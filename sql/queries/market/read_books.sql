-- The order books of ticker $1 that were in force at the entries of its trades with $2 <= exit_time < $3: of each
-- the last one before it, unless that is $4 old or older.
WITH entries AS (
    SELECT DISTINCT entry_time FROM closed_trades
    WHERE exit_time >= $2 AND exit_time < $3 AND ticker = $1
),
met AS (
    SELECT DISTINCT last.observed_at
    FROM entries AS e
    CROSS JOIN LATERAL (
        SELECT b.observed_at FROM order_book_levels AS b
        WHERE b.ticker = $1 AND b.observed_at <= e.entry_time AND b.observed_at > e.entry_time - $4::interval
        ORDER BY b.observed_at DESC LIMIT 1
    ) AS last
)
SELECT l.observed_at AS time, lower(l.side) AS side, l.price, l.size
FROM met
JOIN order_book_levels AS l ON (l.ticker, l.observed_at) = ($1, met.observed_at)
