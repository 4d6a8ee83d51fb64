-- The bots whose exposures lack trades: those that were never looked at (since: null), and from the entry of the first trade that
-- a late transaction wrote those of the others. `above` is the most before.
SELECT b.bot_id, NULL::timestamptz AS since, 0::double precision AS above
FROM bots AS b
WHERE b.capital IS NULL AND NOT EXISTS (SELECT FROM bot_exposures AS e WHERE e.bot_id = b.bot_id AND since = '-infinity')
UNION ALL
SELECT f.bot_id, f.since, (SELECT max(exposure) FROM bot_exposures AS e WHERE e.bot_id = f.bot_id AND e.since < f.since)
FROM (SELECT bot_id, min(entry_time) AS since FROM trades
      WHERE recorded_xid >= %s::xid8 GROUP BY bot_id) AS f
WHERE EXISTS (SELECT FROM bot_exposures AS e WHERE e.bot_id = f.bot_id AND since = '-infinity')
ORDER BY 1
