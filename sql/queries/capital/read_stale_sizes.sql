-- What the bots $1 had open whose trades the exposures lack: those open at or after `since`, of $2; `above`, of $3, is the most
-- before. Of the bots $4, which were never looked at, all trades. Each bot has a row at least. A leveraged position takes its
-- margin.
SELECT s.bot_id, s.since, s.above, t.entry_time, t.exit_time, t.size
FROM unnest($1::integer[], $2::timestamptz[], $3::double precision[]) AS s (bot_id, since, above)
LEFT JOIN LATERAL (
    SELECT entry_time, exit_time, coalesce(margin, notional) AS size FROM trades AS c
    WHERE c.bot_id = s.bot_id AND c.status = 'closed' AND c.exit_time >= s.since
      AND (c.exit_time > s.since OR c.entry_time = s.since)
    UNION ALL
    SELECT entry_time, NULL, coalesce(margin, notional) FROM trades AS o WHERE o.bot_id = s.bot_id AND o.status <> 'closed'
) AS t ON true
UNION ALL
SELECT bot_id, NULL, 0, NULL, NULL, NULL FROM unnest($4::integer[]) AS n (bot_id)
UNION ALL
-- Of few bots by the index, of many faster in the order in which trades lie.
SELECT bot_id, NULL, 0, entry_time, exit_time, coalesce(margin, notional) FROM trades
WHERE status = 'closed' AND bot_id = ANY($4::integer[])
UNION ALL
SELECT bot_id, NULL, 0, entry_time, NULL, coalesce(margin, notional) FROM trades
WHERE status <> 'closed' AND bot_id = ANY($4::integer[])
