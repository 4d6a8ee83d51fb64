-- How much is there: bots, trades by status, held rows of the quarantine.
SELECT (SELECT count(*) FROM bots) AS bots,
       count(*) AS trades,
       count(*) FILTER (WHERE status = 'closed') AS closed,
       count(*) FILTER (WHERE status <> 'closed') AS open,
       (SELECT count(*) FROM trade_quarantine WHERE status = 'held') AS held
FROM trades
