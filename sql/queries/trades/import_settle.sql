-- What became of an import, once its rows are written. The same file again changes nothing of the first time.
UPDATE imports
SET (rows_read, inserted, updated, replaced, unchanged, quarantined, notes, pnl_rounding, repeats)
  = (%(rows_read)s, %(inserted)s, %(updated)s, %(replaced)s, %(unchanged)s, %(quarantined)s, %(notes)s, %(pnl_rounding)s,
     coalesce((SELECT range_agg(int8range(other_trade, other_trade, '[]')) FROM incoming
               JOIN trades t ON t.trade_id = other_trade
               WHERE is_repeat AND t.import_id IS DISTINCT FROM %(import_id)s), '{}'))
WHERE import_id = %(import_id)s
