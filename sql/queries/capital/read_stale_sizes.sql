-- What the bots had open whose trades the exposures lack: of a bot that was never looked at (since: null) all trades, of the
-- others those open at or after the entry of the first trade that a transaction from $1 on wrote. `above` is the most before. A leveraged position
-- takes its margin.
WITH stale AS (
    SELECT b.bot_id, NULL::timestamptz AS since, 0::double precision AS above
    FROM bots AS b
    WHERE b.capital IS NULL AND NOT EXISTS (SELECT FROM bot_exposures AS e WHERE e.bot_id = b.bot_id AND since = '-infinity')
    UNION ALL
    SELECT f.bot_id, f.since, (SELECT max(exposure) FROM bot_exposures AS e WHERE e.bot_id = f.bot_id AND e.since < f.since)
    FROM (SELECT bot_id, min(entry_time) AS since FROM trades
          WHERE recorded_xid >= $1::xid8 GROUP BY bot_id) AS f
    WHERE EXISTS (SELECT FROM bot_exposures AS e WHERE e.bot_id = f.bot_id AND since = '-infinity')
)
SELECT s.bot_id, s.since, s.above, t.entry_time, t.exit_time, t.size
FROM stale AS s
LEFT JOIN LATERAL (
    SELECT entry_time, exit_time, coalesce(margin, notional) AS size FROM trades AS c
    WHERE c.bot_id = s.bot_id AND c.status = 'closed' AND c.exit_time >= coalesce(s.since, '-infinity')
      AND (s.since IS NULL OR c.exit_time > s.since OR c.entry_time = s.since)
    UNION ALL
    SELECT entry_time, NULL, coalesce(margin, notional) FROM trades AS o WHERE o.bot_id = s.bot_id AND o.status <> 'closed'
) AS t ON true
