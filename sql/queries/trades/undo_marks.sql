-- Trades that come back as an import had them that came after they were known to be further: its mark price counts now, at the
-- time of its file.
INSERT INTO position_marks (trade_id, day, import_id, price, marked_at)
SELECT c.trade_id, day_of(at), c.import_id, (c.content ->> 'mark_price')::double precision, at
FROM contents AS c
JOIN positions AS p USING (trade_id)
JOIN imports AS i ON i.import_id = c.import_id
CROSS JOIN LATERAL coalesce(i.marked_at, i.imported_at) AS at
WHERE c.is_behind AND c.content ->> 'status' <> 'closed' AND c.content ->> 'mark_price' IS NOT NULL
ON CONFLICT DO NOTHING
