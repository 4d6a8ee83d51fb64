-- Puts the steps %(step_bots)s, %(step_since)s, %(exposures)s in the place of those that the bots %(bots)s have from %(since)s
-- (null: ever; such a bot is noted as looked at) on, and notes from when on other ones hold: figures of a bot begin with its
-- first exit. All trades of transactions before %(now_below)s are in the steps by that.
WITH stale_bots AS (
    SELECT bot_id, since FROM unnest(%(bots)s::integer[], %(since)s::timestamptz[]) AS b (bot_id, since)
),
renewed AS (
    SELECT bot_id, since, exposure
    FROM unnest(%(step_bots)s::integer[], %(step_since)s::timestamptz[], %(exposures)s::float8[]) AS s (bot_id, since, exposure)
    UNION ALL
    SELECT bot_id, '-infinity', 0 FROM stale_bots WHERE since IS NULL
),
old AS (
    SELECT e.bot_id, e.since, e.exposure
    FROM bot_exposures AS e JOIN stale_bots AS r USING (bot_id)
    WHERE e.since >= coalesce(r.since, '-infinity')
),
changed AS (
    SELECT bot_id, min(since) AS since
    FROM (
        (TABLE old EXCEPT SELECT bot_id, since, exposure FROM renewed)
        UNION ALL
        (SELECT bot_id, since, exposure FROM renewed EXCEPT TABLE old)
    ) AS different
    WHERE exposure > 0
    GROUP BY bot_id
),
gone AS (
    DELETE FROM bot_exposures AS e USING old
    WHERE (e.bot_id, e.since) = (old.bot_id, old.since)
      AND NOT EXISTS (SELECT FROM renewed AS n WHERE (n.bot_id, n.since) = (e.bot_id, e.since))
),
noted AS (
    INSERT INTO bot_exposures_state (recorded_below) VALUES (%(now_below)s::xid8)
    ON CONFLICT (only_row) DO UPDATE SET recorded_below = excluded.recorded_below
),
written AS (
    INSERT INTO bot_exposures AS e (bot_id, since, exposure)
    SELECT bot_id, since, exposure FROM renewed
    ON CONFLICT (bot_id, since) DO UPDATE SET exposure = excluded.exposure WHERE e.exposure <> excluded.exposure
)
SELECT note_change('capital', min(greatest(c.since, t.first_exit)))
FROM changed AS c
CROSS JOIN LATERAL (SELECT min(exit_time) AS first_exit FROM closed_trades WHERE bot_id = c.bot_id) AS t
WHERE t.first_exit IS NOT NULL
