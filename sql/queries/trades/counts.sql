-- How much is there: bots, trades by status, held rows of the quarantine.
-- Each count reads an index alone; that of closed trades is what remains.
SELECT (SELECT count(*) FROM bots) AS bots, t.trades, t.trades - o.trades AS closed, o.trades AS open,
       (SELECT count(*) FROM trade_quarantine WHERE status = 'held') AS held
FROM (SELECT count(*) AS trades FROM trades) AS t,
     (SELECT count(*) AS trades FROM trades WHERE status <> 'closed') AS o
