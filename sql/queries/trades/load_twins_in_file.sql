-- The same trade under several ids of the file: the one that is recorded already is kept, else the lowest row.
WITH twins AS (
    SELECT row_number, first_value(row_number) OVER (
               PARTITION BY bot_id, entry_time, ticker, direction, entry_price, exit_time, exit_price
               ORDER BY verdict DESC, row_number) AS kept
    FROM incoming
    WHERE verdict IN ('insert', 'update')
)
UPDATE incoming i SET verdict = 'duplicate_trade', other_row = twins.kept
FROM twins
WHERE twins.row_number = i.row_number AND twins.kept <> twins.row_number
