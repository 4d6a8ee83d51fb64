-- The slow results of the running day %(day)s are those of the end of the day before it; only what differs is written. As
-- arrays by bot: a driver takes one row sooner than a row a bot.
WITH known AS (
    SELECT bot_id, quarter_result, lifetime_total, lifetime_days FROM slow_results WHERE day = %(day)s - 1
),
gone AS (
    DELETE FROM slow_results AS s
    WHERE day = %(day)s AND NOT EXISTS (SELECT FROM known AS k WHERE k.bot_id = s.bot_id)
),
written AS (
    INSERT INTO slow_results AS s (day, bot_id, net_result, quarter_result, lifetime_total, lifetime_days)
    SELECT %(day)s, k.bot_id, NULL, k.quarter_result, k.lifetime_total, k.lifetime_days
    FROM known AS k
    LEFT JOIN slow_results AS o ON o.day = %(day)s AND o.bot_id = k.bot_id
    WHERE o.bot_id IS NULL OR (o.net_result, o.quarter_result, o.lifetime_total, o.lifetime_days)
        IS DISTINCT FROM (NULL, k.quarter_result, k.lifetime_total, k.lifetime_days)
    ON CONFLICT (day, bot_id) DO UPDATE
    SET net_result = NULL, quarter_result = excluded.quarter_result, lifetime_total = excluded.lifetime_total,
        lifetime_days = excluded.lifetime_days
)
SELECT coalesce(array_agg(bot_id ORDER BY bot_id), '{}') AS bot_id,
       array_agg(quarter_result ORDER BY bot_id) AS quarter_result,
       array_agg(lifetime_total / sqrt(nullif(lifetime_days, 0)::double precision) ORDER BY bot_id) AS lifetime_result
FROM known
