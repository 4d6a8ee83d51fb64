-- What the bots $1 had open whose trades the exposures lack: of a bot that was never looked at (its `since` of $2 is null) all
-- trades, of the others those open at or after it. `above`, of $3, is the most before. A leveraged position takes its margin.
SELECT s.bot_id, s.since, s.above, t.entry_time, t.exit_time, t.size
FROM unnest($1::integer[], $2::timestamptz[], $3::double precision[]) AS s (bot_id, since, above)
LEFT JOIN LATERAL (
    SELECT entry_time, exit_time, coalesce(margin, notional) AS size FROM trades AS c
    WHERE c.bot_id = s.bot_id AND c.status = 'closed' AND c.exit_time >= coalesce(s.since, '-infinity')
      AND (s.since IS NULL OR c.exit_time > s.since OR c.entry_time = s.since)
    UNION ALL
    SELECT entry_time, NULL, coalesce(margin, notional) FROM trades AS o WHERE o.bot_id = s.bot_id AND o.status <> 'closed'
) AS t ON true
