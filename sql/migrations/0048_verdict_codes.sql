-- What is said of a bot's skill is one of few sentences: rows keep its number, half the bytes of which a live batch writes.

CREATE TABLE skill_verdicts (
    code    smallint PRIMARY KEY,
    verdict text NOT NULL UNIQUE
);
COMMENT ON TABLE skill_verdicts IS 'The sentences of bot_skill, in the order in which the code numbers them.';
INSERT INTO skill_verdicts (code, verdict)
VALUES (0, 'losing'), (1, 'likely losing'), (2, 'cannot be told from luck'), (3, 'likely good'), (4, 'good');
INSERT INTO skill_verdicts (code, verdict)
SELECT 5 + 10 * kind + closed, format('cannot be judged: %s closed %s', closed, CASE closed WHEN 1 THEN one ELSE many END)
FROM (VALUES (0, 'loss', 'losses'), (1, 'win', 'wins')) AS k (kind, one, many), generate_series(0, 9) AS closed;

DROP VIEW report.skill;
DROP VIEW bot_skill;
ALTER TABLE bot_skill_rows ADD COLUMN code smallint[];
UPDATE bot_skill_rows
SET code = ARRAY(SELECT v.code FROM unnest(verdict) WITH ORDINALITY AS u (verdict, place)
                 LEFT JOIN skill_verdicts AS v USING (verdict) ORDER BY u.place);
ALTER TABLE bot_skill_rows DROP COLUMN verdict;
ALTER TABLE bot_skill_rows RENAME COLUMN code TO verdict;
ALTER TABLE bot_skill_rows
    ALTER COLUMN verdict SET NOT NULL,
    ALTER COLUMN verdict SET STORAGE EXTERNAL,
    ALTER COLUMN bot_id SET STORAGE EXTERNAL; -- ids in order do not become smaller either
CREATE VIEW bot_skill AS
SELECT r.day, m.as_of, s.bot_id, r.time_window, s.trades, s.edge, s.edge_low, s.edge_high, s.p_skill, v.verdict, r.p_same_edge
FROM bot_skill_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_skill' AND m.day = r.day
CROSS JOIN LATERAL unnest(r.bot_id, r.trades, r.edge, r.edge_low, r.edge_high, r.p_skill, r.verdict)
    AS s (bot_id, trades, edge, edge_low, edge_high, p_skill, code)
LEFT JOIN skill_verdicts AS v USING (code)
WHERE EXISTS (SELECT FROM bots AS b WHERE b.bot_id = s.bot_id); -- one that is gone has no results
CREATE VIEW report.skill AS
SELECT k.as_of AS "time", k.day, k.bot_id, b.name AS bot, s.strategy_id, k.time_window, k.trades, k.edge,
       k.edge_low, k.edge_high, k.p_skill, k.verdict, k.p_same_edge
FROM bot_skill AS k
JOIN bots AS b USING (bot_id)
LEFT JOIN bot_strategies AS s USING (bot_id);
COMMENT ON VIEW report.skill IS 'Whether each bot is good or lucky, over its lifetime and the trailing 90 days; "time" is when it '
    'is true. The interval of the edge is 90 %.';
COMMENT ON COLUMN report.skill.time_window IS 'lifetime or 90 days.';
COMMENT ON COLUMN report.skill.p_skill IS 'The probability that the bot''s edge is above 0.';
COMMENT ON COLUMN report.skill.p_same_edge IS 'The probability that all bots have one edge, the same in each row of a day and window.';
SELECT note_change('skill_formulas', '-infinity') WHERE EXISTS (SELECT FROM bot_skill_rows WHERE array_position(verdict, NULL) IS NOT NULL);
