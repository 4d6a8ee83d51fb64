-- What is said of a bot's skill is one of few sentences: rows keep its number.

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

-- The view is replaced and not dropped: what people have made of it stays.
ALTER TABLE bot_skill_rows ADD COLUMN code smallint[];
UPDATE bot_skill_rows
SET code = ARRAY(SELECT v.code FROM unnest(verdict) WITH ORDINALITY AS u (verdict, place)
                 LEFT JOIN skill_verdicts AS v USING (verdict) ORDER BY u.place);
CREATE OR REPLACE VIEW bot_skill AS
SELECT r.day, m.as_of, s.bot_id, r.time_window, s.trades, s.edge, s.edge_low, s.edge_high, s.p_skill, v.verdict, r.p_same_edge
FROM bot_skill_rows AS r
JOIN refreshed_days AS m ON m.asset = 'bot_skill' AND m.day = r.day
CROSS JOIN LATERAL unnest(r.bot_id, r.trades, r.edge, r.edge_low, r.edge_high, r.p_skill, r.code)
    AS s (bot_id, trades, edge, edge_low, edge_high, p_skill, code)
LEFT JOIN skill_verdicts AS v ON v.code = s.code
WHERE EXISTS (SELECT FROM bots AS b WHERE b.bot_id = s.bot_id); -- one that is gone has no results
ALTER TABLE bot_skill_rows DROP COLUMN verdict;
ALTER TABLE bot_skill_rows RENAME COLUMN code TO verdict;
ALTER TABLE bot_skill_rows
    ALTER COLUMN verdict SET NOT NULL,
    ALTER COLUMN verdict SET STORAGE EXTERNAL,
    ALTER COLUMN bot_id SET STORAGE EXTERNAL; -- ids in order do not become smaller either
SELECT note_change('skill_formulas', '-infinity') WHERE EXISTS (SELECT FROM bot_skill_rows WHERE array_position(verdict, NULL) IS NOT NULL);
