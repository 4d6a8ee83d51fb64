-- What each asset's day rests on, written in the transaction that writes its rows: a run that fails, dies or is skipped
-- leaves no mark, and so leaves its work pending.

CREATE TABLE refreshed_days (
    asset        text NOT NULL,
    day          date NOT NULL,
    as_of        timestamptz NOT NULL,
    -- The transactions whose trades were read. An older transaction that commits later is not among them, which neither a
    -- serial number nor a clock could tell.
    seen         pg_snapshot NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (asset, day)
);

-- Trades that were visible to this snapshot have reached every day that was computed: no need to look at them again.
CREATE TABLE settled_trades (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen     pg_snapshot NOT NULL
);
