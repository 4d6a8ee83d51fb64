-- Every ticker of which there are order books, found by hopping through the index.
WITH RECURSIVE hop AS (
    SELECT min(ticker) AS ticker FROM order_book_levels
    UNION ALL
    SELECT (SELECT min(ticker) FROM order_book_levels WHERE ticker > hop.ticker) FROM hop WHERE hop.ticker IS NOT NULL
)
SELECT ticker FROM hop WHERE ticker IS NOT NULL
