-- What Prometheus is told, a row per sample: the metric (see web/gauges.py), the values of its labels in their order, and
-- the value. %(lock)s: the lock of the live listener; %(bots)s: of how many bots, the best first.
WITH fleet AS (
    SELECT * FROM fleet_totals WHERE day = (SELECT max(day) FROM bot_rankings_rows)
),
best AS (
    SELECT b.name, b.quote_currency, r.day, r.bot_id, r.rank, r.rank_score FROM bot_rankings AS r
    JOIN bots AS b USING (bot_id)
    WHERE r.day = (SELECT max(day) FROM bot_rankings_rows) AND r.rank <= %(bots)s
)
SELECT v.name, ARRAY[f.quote_currency] AS labels, v.value
FROM fleet AS f
CROSS JOIN LATERAL (VALUES
    ('bots', f.bots::float8), ('active_bots', f.active), ('ranked_bots', f.ranked), ('halted_bots', f.halted),
    ('pnl_1d', f.pnl_1d), ('pnl_7d', f.pnl_7d), ('pnl_30d', f.pnl_30d), ('open_pnl', f.open_pnl),
    ('open_trades', f.open_trades), ('funds', f.funds), ('allocated_funds', f.allocated)) AS v (name, value)
UNION ALL
SELECT v.name, ARRAY[a.asset], v.value
FROM (SELECT asset, count(*) AS days, max(as_of) AS as_of, max(refreshed_at) AS refreshed_at FROM refreshed_days
      WHERE isfinite(as_of) GROUP BY asset) AS a
CROSS JOIN LATERAL (VALUES
    ('asset_days', a.days::float8), ('asset_as_of_timestamp_seconds', extract(epoch FROM a.as_of)::float8),
    ('asset_refreshed_timestamp_seconds', extract(epoch FROM a.refreshed_at)::float8)) AS v (name, value)
UNION ALL
SELECT v.name, ARRAY[k.name, k.quote_currency], v.value
FROM best AS k
JOIN bot_metrics_rows AS m ON (m.day, m.bot_id, m.ticker) = (k.day, k.bot_id, '*')
LEFT JOIN bot_skill AS s ON (s.day, s.bot_id, s.time_window) = (k.day, k.bot_id, 'lifetime')
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (k.day, k.bot_id)
CROSS JOIN LATERAL (VALUES
    ('bot_rank', k.rank::float8), ('bot_rank_score', k.rank_score), ('bot_skill_probability', s.p_skill),
    ('bot_pnl_30d', m.total_pnl), ('bot_funds', a.amount)) AS v (name, value)
UNION ALL
SELECT v.name, '{}', v.value
FROM (VALUES
    ('held_rows', (SELECT count(*) FROM trade_quarantine WHERE status = 'held')::float8),
    ('database_size_bytes', pg_database_size(current_database())),
    ('listener_running', (SELECT count(*) FROM pg_locks
                          WHERE locktype = 'advisory' AND granted AND classid = %(lock)s::bigint::oid AND objid = 0
                            AND objsubid = 2
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
) AS v (name, value)
