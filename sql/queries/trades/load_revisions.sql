-- What the trades were that this import moves on or replaces; and, of trades that it has at an earlier state than what is
-- recorded, that state: it is what stays of them if the others are undone.
INSERT INTO trade_revisions (trade_id, import_id, replaced_by, content)
SELECT t.trade_id, t.import_id, %(import_id)s, trade_content(t)
FROM incoming i JOIN trades t ON t.trade_id = i.other_trade
WHERE i.verdict IN ('update', 'replace') AND t.import_id IS DISTINCT FROM %(import_id)s
UNION ALL
SELECT t.trade_id, %(import_id)s, t.import_id,
       arriving_content(to_jsonb(i))
FROM incoming i JOIN trades t ON t.trade_id = i.other_trade
WHERE i.verdict = 'unchanged' AND NOT i.is_repeat AND t.import_id <> %(import_id)s
  -- Of several such rows the furthest.
  AND NOT EXISTS (
      SELECT FROM incoming o
      WHERE o.other_trade = i.other_trade AND o.verdict = 'unchanged'
        AND (array_position(ARRAY['open', 'pending_exit', 'closed'], o.status), o.row_number)
          > (array_position(ARRAY['open', 'pending_exit', 'closed'], i.status), i.row_number))
