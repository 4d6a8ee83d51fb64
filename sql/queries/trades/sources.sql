-- The sources that recorded trades, found by hopping through the index instead of reading every row.
WITH RECURSIVE hop AS (
    SELECT min(source) AS source FROM trades
    UNION ALL
    SELECT (SELECT min(source) FROM trades WHERE source > hop.source) FROM hop WHERE hop.source IS NOT NULL
)
SELECT source FROM hop WHERE source IS NOT NULL
