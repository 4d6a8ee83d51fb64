-- A row that several imports have is held once, and stays held for the others when one of them is undone. The times at which a
-- trade was triggered are times of a trade.

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

-- The last time that a file tells of, at which the marks of its open trades were true; NULL where none had closed by then: when
-- it was taken in.
ALTER TABLE imports ADD COLUMN marked_at timestamptz;

-- By a trigger, as in migration 0020: what is there stays. Without a function, as in 0014.
CREATE FUNCTION refuse_triggers_of_trade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trade (%, %): no trade has this time (%)', NEW.source, NEW.source_trade_id,
        concat_ws(', ', 'entry_trigger_time = ' || NEW.entry_trigger_time, 'exit_trigger_time = ' || NEW.exit_trigger_time)
        USING ERRCODE = 'check_violation', TABLE = 'trades', HINT = 'Write a time of the years 1970 to 9998, or leave it out.';
END $$;
CREATE TRIGGER trades_possible_triggers BEFORE INSERT OR UPDATE OF entry_trigger_time, exit_trigger_time ON trades
    FOR EACH ROW
    WHEN (NEW.entry_trigger_time < '1970-01-01Z' OR NEW.entry_trigger_time >= '9999-01-01Z'
          OR NEW.exit_trigger_time < '1970-01-01Z' OR NEW.exit_trigger_time >= '9999-01-01Z')
    EXECUTE FUNCTION refuse_triggers_of_trade();
