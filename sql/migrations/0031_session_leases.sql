-- Until when whoever computes has what it locked to itself without saying so again, by the database's clock: the live
-- listener, and now runs too. A process that was stopped keeps its session and its locks for ever; its lease ends.

CREATE TABLE session_leases (
    backend    integer NOT NULL,      -- the process id of the session's server process,
    began      timestamptz NOT NULL,  -- and its start, as process ids are used again
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (backend, began)
);
COMMENT ON TABLE session_leases IS
    'Until when sessions that compute may hold locks without renewing that; those of ended sessions go with the next';

DROP TABLE listener_lease;
