-- Until when the live listener has its days to itself without saying so again, by the database's clock. A process that was
-- stopped keeps its session and its locks for ever; its lease ends.

CREATE TABLE listener_lease (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    backend    integer NOT NULL,  -- the process id of its session's server process
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE listener_lease IS 'Until when the live listener owns its days without renewing that; one row at most';
