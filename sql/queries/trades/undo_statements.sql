-- The trades of which others spoke otherwise, too, and what each of these said of them: they are recorded anew from that. What
-- bots wrote themselves stays.
CREATE TEMP TABLE replayed ON COMMIT DROP AS
WITH contested AS (
    SELECT t.trade_id, t.source, t.source_trade_id
    FROM trades AS t
    WHERE t.trade_id IN (SELECT r.trade_id FROM trade_revisions AS r
                         WHERE %(import_id)s IN (r.import_id, r.replaced_by)
                            OR r.trade_id IN (SELECT l.trade_id FROM leaving AS l))
       OR (t.source, t.source_trade_id) IN (SELECT d.source, d.source_trade_id FROM disputed AS d)
       -- When it was open, and what it was worth, the next import says at a time of its own.
       OR t.trade_id IN (SELECT l.trade_id FROM leaving AS l JOIN positions USING (trade_id) WHERE l.heir IS NOT NULL)
       -- Another bot's trade of the id stands against a next import of corrections, unless that has it, too (see load_other_bots).
       OR t.trade_id IN (
           SELECT l.trade_id
           FROM leaving AS l
           JOIN imports AS i ON i.import_id = l.heir AND i.replaces
           JOIN trades AS o ON (o.source, o.source_trade_id) = (l.source, l.source_trade_id) AND o.bot_id <> l.bot_id
           WHERE o.import_id IS DISTINCT FROM l.heir AND NOT i.repeats @> o.trade_id)
)
SELECT t.trade_id, t.source, t.source_trade_id, t.bot_id, t.simulated, t.import_id, trade_content(t) AS content
FROM trades AS t
WHERE t.import_id IS NOT NULL AND (
    t.trade_id IN (SELECT c.trade_id FROM contested AS c)
    -- Corrections ask which bots have the id.
    OR (t.source, t.source_trade_id) IN (
        SELECT c.source, c.source_trade_id FROM contested AS c
        WHERE EXISTS (SELECT FROM imports AS i WHERE i.source = c.source AND i.replaces)));

-- An import that has a trade just as it was recorded then says what stood until the next one replaced it.
CREATE TEMP TABLE statements ON COMMIT DROP AS
WITH earlier AS (
    SELECT r.* FROM trade_revisions AS r JOIN replayed USING (trade_id)
),
repeats AS (
    SELECT p.trade_id, o.import_id, coalesce((
               SELECT e.content FROM earlier AS e
               WHERE e.trade_id = p.trade_id AND e.replaced_by > o.import_id
                 AND coalesce(e.import_id, 0) < e.replaced_by
               ORDER BY e.replaced_by LIMIT 1), p.content) AS content
    FROM replayed AS p JOIN imports AS o ON o.repeats @> p.trade_id
)
SELECT s.trade_id, s.import_id, s.content, p.source, p.simulated,
       array_position(ARRAY['open', 'pending_exit', 'closed'], s.content ->> 'status') AS progress
FROM (
    SELECT trade_id, import_id, content FROM replayed
    UNION
    SELECT trade_id, import_id, content FROM earlier
    UNION
    SELECT trade_id, import_id, content FROM repeats
) AS s
JOIN replayed AS p USING (trade_id)
LEFT JOIN imports AS i ON i.import_id = s.import_id
WHERE i.undone_at IS NULL;

CREATE TEMP TABLE own_marks ON COMMIT DROP AS
SELECT m.* FROM position_marks AS m JOIN replayed USING (trade_id) WHERE m.import_id = 0;

-- The bots that all this is about.
CREATE TEMP TABLE told_bots ON COMMIT DROP AS
SELECT bot_id FROM leaving
UNION
SELECT bot_id FROM replayed
UNION
SELECT n.bot_id
FROM imports AS i CROSS JOIN LATERAL jsonb_object_keys(i.capital) AS c (name) JOIN bot_names AS n ON n.name = bot_name(c.name)
WHERE i.import_id = %(import_id)s
