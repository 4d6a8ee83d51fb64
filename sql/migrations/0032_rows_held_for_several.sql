-- A row that several imports have is held once, and stays held for the others when one of them is undone.

-- The later imports that have a row of the quarantine, too. `row_number`: which row of theirs it is.
CREATE TABLE quarantine_repeats (
    quarantine_id bigint NOT NULL REFERENCES trade_quarantine ON DELETE CASCADE,
    import_id     bigint NOT NULL REFERENCES imports,
    row_number    bigint NOT NULL,
    PRIMARY KEY (quarantine_id, import_id)
);
CREATE INDEX quarantine_repeats_import ON quarantine_repeats (import_id);
COMMENT ON TABLE quarantine_repeats IS 'Later imports that have a row of the quarantine, too.';

-- The import of corrections that recorded what a row says: when it is undone, the row is held again.
ALTER TABLE trade_quarantine ADD COLUMN released_by bigint REFERENCES imports;
CREATE INDEX trade_quarantine_released_by ON trade_quarantine (released_by) WHERE released_by IS NOT NULL;
