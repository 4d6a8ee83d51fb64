-- An undone import has no row of the quarantine any more. Undoing had left its notes of rows that another import held first, so
-- that it seemed to hold them still; since then the notes go with it.
DELETE FROM quarantine_repeats AS r USING imports AS i WHERE i.import_id = r.import_id AND i.undone_at IS NOT NULL;
