-- Imports: what was taken in, how it was read, and what it changed, so that it can be undone and corrected.

CREATE TABLE imports (
    import_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source       text NOT NULL,
    file_name    text NOT NULL,
    -- SHA-256 of the file; NULL for what was no file.
    content_hash text,
    layout       jsonb NOT NULL,
    author       text NOT NULL CHECK (is_plain_name(author) AND author <> ''),
    rows_read    bigint NOT NULL DEFAULT 0,
    inserted     bigint NOT NULL DEFAULT 0,
    updated      bigint NOT NULL DEFAULT 0,
    replaced     bigint NOT NULL DEFAULT 0,
    unchanged    bigint NOT NULL DEFAULT 0,
    quarantined  bigint NOT NULL DEFAULT 0,
    notes        jsonb NOT NULL DEFAULT '[]',
    -- The trades that it found recorded just as it has them: when the import that recorded them is undone, they are its own.
    repeats      int8multirange NOT NULL DEFAULT '{}',
    imported_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_at    timestamptz,
    undone_by    text,
    CHECK ((undone_at IS NULL) = (undone_by IS NULL))
);
COMMENT ON TABLE imports IS 'Files and batches of trades that were taken in, and which of them were undone.';

-- No foreign key: imports are never deleted, and a bulk load would ask for it at every row.
ALTER TABLE trades ADD COLUMN import_id bigint;
CREATE INDEX trades_import ON trades USING brin (import_id) WITH (pages_per_range = 32);
ALTER TABLE trade_quarantine ADD COLUMN import_id bigint REFERENCES imports;

-- What a trade was before an import said otherwise. `import_id`: which one had said so; NULL: its bot, or one from before
-- imports were kept. A trade goes back to the last one that is left when the import that replaced it is undone.
CREATE TABLE trade_revisions (
    revision_id bigint GENERATED ALWAYS AS IDENTITY,
    trade_id    bigint NOT NULL,
    import_id   bigint REFERENCES imports,
    replaced_by bigint NOT NULL REFERENCES imports,
    content     jsonb NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (trade_id, revision_id)
);
CREATE INDEX trade_revisions_import ON trade_revisions (import_id);
COMMENT ON TABLE trade_revisions IS 'Earlier contents of trades that an import corrected or moved on.';

-- What was recorded of a trade, without what the database adds.
CREATE FUNCTION trade_content(trade trades) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE RETURN
    to_jsonb(trade) - ARRAY['trade_id', 'source', 'simulated', 'import_id', 'pnl', 'recorded_at', 'recorded_xid'];

-- Ids are unique per source and bot; rows with ids of their own are trades of their own, however alike.
ALTER TABLE trades
    DROP CONSTRAINT trades_source_key,
    ADD CONSTRAINT trades_source_key UNIQUE (source, source_trade_id, bot_id);
DROP INDEX trades_content_key;
CREATE INDEX trades_entry ON trades (bot_id, entry_time);

-- A trade only moves forward (open, pending_exit, closed), a closed one stays as it is, and none becomes simulated. Which
-- import a trade belongs to is no part of it; whoever moves it on without one takes it over.
CREATE OR REPLACE FUNCTION trades_protect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'closed' THEN
        IF to_jsonb(NEW) - 'import_id' = to_jsonb(OLD) - 'import_id' THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'trade % (%, %) is closed and cannot be changed', OLD.trade_id, OLD.source, OLD.source_trade_id
            USING ERRCODE = 'check_violation', HINT = 'Record a correction by: knowdefeat ingest --replace FILE';
    END IF;
    IF (NEW.trade_id, NEW.source, NEW.source_trade_id, NEW.bot_id, NEW.simulated) IS DISTINCT FROM
       (OLD.trade_id, OLD.source, OLD.source_trade_id, OLD.bot_id, OLD.simulated) THEN
        RAISE EXCEPTION 'the identity of trade % cannot be changed', OLD.trade_id USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.status = 'pending_exit' AND NEW.status = 'open' THEN
        RAISE EXCEPTION 'trade % cannot go back from pending_exit to open', OLD.trade_id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.import_id = OLD.import_id THEN
        NEW.import_id := NULL;
    END IF;
    NEW.recorded_at := clock_timestamp();
    NEW.recorded_xid := pg_current_xact_id();
    RETURN NEW;
END $$;
