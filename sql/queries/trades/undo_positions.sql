-- That a trade was open, and what it was marked by, is no longer known from the import: another one says the same, or an
-- earlier content of the trade does, or it never was.
WITH said AS (
    SELECT p.trade_id, p.entry_time,
           coalesce((SELECT min(o.import_id) FROM imports AS o
                     WHERE o.import_id > %(import_id)s AND o.undone_at IS NULL AND o.repeats @> p.trade_id),
                    (SELECT coalesce(r.import_id, 0) FROM trade_revisions AS r
                     WHERE r.trade_id = p.trade_id AND r.content ->> 'status' <> 'closed'
                     ORDER BY r.revision_id LIMIT 1),
                    CASE WHEN t.status <> 'closed' THEN coalesce(t.import_id, 0) END) AS heir
    FROM positions AS p JOIN trades AS t USING (trade_id)
    WHERE p.import_id = %(import_id)s
),
passed_on AS (
    UPDATE positions AS p SET import_id = s.heir FROM said AS s WHERE s.trade_id = p.trade_id AND s.heir IS NOT NULL
),
gone AS (
    DELETE FROM positions AS p USING said AS s WHERE s.trade_id = p.trade_id AND s.heir IS NULL
),
marks AS (
    SELECT m.trade_id, m.day, m.marked_at, (
               SELECT min(o.import_id) FROM imports AS o
               WHERE o.import_id > %(import_id)s AND o.undone_at IS NULL AND o.repeats @> m.trade_id) AS heir
    FROM position_marks AS m
    WHERE m.import_id = %(import_id)s
),
marks_passed_on AS (
    UPDATE position_marks AS m SET import_id = n.heir FROM marks AS n
    WHERE (n.trade_id, n.day, %(import_id)s) = (m.trade_id, m.day, m.import_id) AND n.heir IS NOT NULL
      AND NOT EXISTS (SELECT FROM position_marks AS o WHERE (o.trade_id, o.day, o.import_id) = (n.trade_id, n.day, n.heir))
),
marks_gone AS (
    DELETE FROM position_marks AS m USING marks AS n
    WHERE (n.trade_id, n.day, %(import_id)s) = (m.trade_id, m.day, m.import_id) AND n.heir IS NULL
)
SELECT note_change('positions', (SELECT min(entry_time) FROM said WHERE heir IS NULL)),
       note_change('marks', (SELECT min(marked_at) FROM marks WHERE heir IS NULL))
