-- What became of an import, once its rows are written. The same file again changes nothing of the first time.
UPDATE imports
SET (rows_read, inserted, updated, replaced, unchanged, quarantined, notes, pnl_rounding, marked_at, capital)
  = (%(rows_read)s, %(inserted)s, %(updated)s, %(replaced)s, %(unchanged)s, %(quarantined)s, %(notes)s, %(pnl_rounding)s,
     nullif(%(marked_at)s, '')::timestamptz, %(capital)s)
WHERE import_id = %(import_id)s
