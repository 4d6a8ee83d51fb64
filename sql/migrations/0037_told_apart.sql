-- Whether bots can be told apart at all: how likely it is that all have one edge. Until then money asks for more skill.

-- The fleet's, beside its bots'. NULL on days that were computed before it was known, which are computed again.
ALTER TABLE bot_skill_rows ADD COLUMN p_same_edge double precision CHECK (p_same_edge BETWEEN 0 AND 1);
CREATE OR REPLACE VIEW bot_skill AS
SELECT r.day, m.as_of, s.bot_id, r.time_window, s.trades, s.edge, s.edge_low, s.edge_high, s.p_skill, s.verdict, r.p_same_edge
FROM bot_skill_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_skill' AND m.day = r.day
CROSS JOIN LATERAL unnest(r.bot_id, r.trades, r.edge, r.edge_low, r.edge_high, r.p_skill, r.verdict)
    AS s (bot_id, trades, edge, edge_low, edge_high, p_skill, verdict)
WHERE EXISTS (SELECT FROM bots AS b WHERE b.bot_id = s.bot_id); -- one that is gone has no results
CREATE OR REPLACE VIEW report.skill AS
SELECT k.as_of AS "time", k.day, k.bot_id, b.name AS bot, s.strategy_id, k.time_window, k.trades, k.edge,
       k.edge_low, k.edge_high, k.p_skill, k.verdict, k.p_same_edge
FROM bot_skill AS k
JOIN bots AS b USING (bot_id)
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON COLUMN report.skill.p_same_edge IS 'The probability that all bots have one edge, the same in each row of a day and window.';
SELECT note_change('skill_formulas', '-infinity') WHERE EXISTS (SELECT FROM refreshed_days WHERE asset = 'bot_skill');

-- Settings that are there keep what they said: caution is all that they ask for.
ALTER TABLE fund_settings ADD COLUMN same_edge_limit double precision NOT NULL DEFAULT 1
    CHECK (same_edge_limit > 0 AND same_edge_limit <= 1);
