-- Every bot, or one (%(bot)s), with where it stands: its last allocation, its last place in the ranking, and the last words about it.
WITH last_day AS (
    SELECT max(day) AS day FROM bot_rankings_rows
),
skill AS MATERIALIZED (
    SELECT bot_id, p_skill, edge, edge_low, edge_high, verdict FROM bot_skill
    WHERE day = (SELECT max(day) FROM bot_skill_rows) AND time_window = 'lifetime'
)
SELECT b.bot_id, b.name AS bot, b.strategy_id, b.account, c.capital, c.capital_is_estimated, b.quote_currency, b.is_active,
       r.day, r.rank, r.rank_score, r.reason AS unranked,
       k.p_skill, k.edge, k.edge_low, k.edge_high, k.verdict,
       a.amount, a.decision, a.reason,
       halt.reason AS halted,
       switched.author AS switched_by, switched.reason AS switched_because
FROM bots AS b
JOIN bot_capitals AS c USING (bot_id)
LEFT JOIN last_day ON true
LEFT JOIN bot_rankings AS r ON (r.day, r.bot_id) = (last_day.day, b.bot_id)
LEFT JOIN skill AS k ON k.bot_id = b.bot_id
LEFT JOIN fund_allocations AS a ON (a.day, a.bot_id) = (last_day.day, b.bot_id)
LEFT JOIN LATERAL (
    SELECT e.author, e.reason FROM bot_events AS e
    WHERE e.bot_id = b.bot_id AND e.kind IN ('activated', 'deactivated')
    ORDER BY e.event_id DESC LIMIT 1
) AS switched ON true
LEFT JOIN LATERAL (
    SELECT e.kind, e.reason FROM bot_events AS e
    WHERE e.bot_id = b.bot_id AND e.kind IN ('halted', 'released', 'resumed')
    ORDER BY e.in_force_from DESC, e.event_id DESC LIMIT 1
) AS halt ON halt.kind = 'halted'
WHERE %(bot)s::integer IS NULL OR b.bot_id = %(bot)s
ORDER BY b.bot_id < 0, abs(b.bot_id)
