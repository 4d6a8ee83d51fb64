-- A person has decided about a row.
UPDATE trade_quarantine SET status = %(status)s, note = %(note)s, settled_at = %(now)s
WHERE quarantine_id = %(quarantine_id)s
