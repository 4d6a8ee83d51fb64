-- The capital that a row states which was refused when its import was taken in; what other rows of it had stated of a bot stays.
UPDATE imports SET capital = %(capital)s || capital WHERE import_id = %(import_id)s
