-- What an import that is undone had told of positions whose trades direct writers took over: the open ones are theirs now.
WITH passed_on AS (
    UPDATE positions AS p SET import_id = 0
    FROM trades AS t WHERE t.trade_id = p.trade_id AND p.import_id = %(import_id)s AND t.status <> 'closed'
),
gone AS (
    DELETE FROM positions AS p
    USING trades AS t WHERE t.trade_id = p.trade_id AND p.import_id = %(import_id)s AND t.status = 'closed'
    RETURNING p.entry_time
),
marks_gone AS (
    DELETE FROM position_marks WHERE import_id = %(import_id)s RETURNING marked_at
),
own AS (
    INSERT INTO position_marks (trade_id, day, import_id, price, marked_at)
    SELECT m.trade_id, m.day, m.import_id, m.price, m.marked_at FROM own_marks AS m JOIN positions USING (trade_id)
    ON CONFLICT DO NOTHING
)
SELECT note_change('positions', (SELECT min(entry_time) FROM gone)), note_change('marks', (SELECT min(marked_at) FROM marks_gone))
