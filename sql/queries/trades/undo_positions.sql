-- What the import had told of open trades is known from others, or no more; and what had come after it (see load_revisions)
-- counts now, where no other had them closed by then. Contents have been passed on and taken back already.
WITH said AS (
    SELECT p.trade_id, p.entry_time, coalesce(
               CASE WHEN t.status <> 'closed' THEN coalesce(t.import_id, 0) END,
               (SELECT coalesce(r.import_id, 0) FROM trade_revisions AS r
                WHERE r.trade_id = p.trade_id AND r.content ->> 'status' <> 'closed'
                  -- What came after the trade had closed told of nothing open.
                  AND NOT (r.import_id > r.replaced_by AND (
                      (t.status = 'closed' AND coalesce(t.import_id, 0) < r.import_id)
                      OR EXISTS (SELECT FROM trade_revisions AS o
                                 WHERE o.trade_id = r.trade_id AND o.content ->> 'status' = 'closed'
                                   AND coalesce(o.import_id, 0) < r.import_id)))
                ORDER BY r.revision_id LIMIT 1)) AS heir
    FROM positions AS p JOIN trades AS t USING (trade_id)
    WHERE p.import_id = %(import_id)s
),
passed_on AS (
    UPDATE positions AS p SET import_id = s.heir FROM said AS s WHERE s.trade_id = p.trade_id AND s.heir IS NOT NULL
),
gone AS (
    DELETE FROM positions AS p USING said AS s WHERE s.trade_id = p.trade_id AND s.heir IS NULL
),
after AS (
    SELECT DISTINCT ON (t.trade_id) t.trade_id, t.ticker, t.entry_time, t.exit_time, r.import_id,
           (r.content ->> 'mark_price')::double precision AS mark_price
    FROM trade_revisions AS r JOIN trades AS t USING (trade_id)
    WHERE r.replaced_by = %(import_id)s AND r.import_id > %(import_id)s AND r.content ->> 'status' <> 'closed'
      AND NOT (t.status = 'closed' AND coalesce(t.import_id, 0) < r.import_id)
      AND NOT EXISTS (SELECT FROM trade_revisions AS o WHERE o.trade_id = r.trade_id AND o.content ->> 'status' = 'closed'
                      AND coalesce(o.import_id, 0) < r.import_id)
    ORDER BY t.trade_id, r.import_id
),
come AS (
    INSERT INTO positions (trade_id, ticker, entry_time, exit_time, import_id)
    SELECT trade_id, ticker, entry_time, exit_time, import_id FROM after
    ON CONFLICT DO NOTHING
),
come_marks AS (
    INSERT INTO position_marks (trade_id, day, import_id, price, marked_at)
    SELECT a.trade_id, day_of(at), a.import_id, a.mark_price, at
    FROM after AS a JOIN imports AS i USING (import_id) CROSS JOIN LATERAL coalesce(i.marked_at, i.imported_at) AS at
    WHERE a.mark_price IS NOT NULL AND NOT EXISTS (SELECT FROM positions AS p WHERE p.trade_id = a.trade_id)
    ON CONFLICT DO NOTHING
),
marks AS (
    SELECT m.trade_id, m.day, m.marked_at, coalesce(
               (SELECT t.import_id FROM trades AS t
                WHERE t.trade_id = m.trade_id AND t.mark_price = m.price AND t.import_id > m.import_id),
               (SELECT min(r.import_id) FROM trade_revisions AS r
                WHERE r.trade_id = m.trade_id AND r.content -> 'mark_price' = to_jsonb(m.price)
                  AND r.import_id > m.import_id)) AS heir
    FROM position_marks AS m
    WHERE m.import_id = %(import_id)s
),
marks_passed_on AS (
    UPDATE position_marks AS m SET import_id = n.heir FROM marks AS n
    WHERE (m.trade_id, m.day, m.import_id) = (n.trade_id, n.day, %(import_id)s) AND n.heir IS NOT NULL
      AND NOT EXISTS (SELECT FROM position_marks AS o WHERE (o.trade_id, o.day, o.import_id) = (n.trade_id, n.day, n.heir))
),
marks_gone AS (
    DELETE FROM position_marks AS m USING marks AS n
    WHERE (m.trade_id, m.day, m.import_id) = (n.trade_id, n.day, %(import_id)s) AND (n.heir IS NULL OR EXISTS (
        SELECT FROM position_marks AS o WHERE (o.trade_id, o.day, o.import_id) = (n.trade_id, n.day, n.heir)))
)
SELECT note_change('positions', (SELECT min(entry_time) FROM said WHERE heir IS NULL)),
       note_change('marks', (SELECT min(marked_at) FROM marks))
