-- What shards leave until it is published is kept as they encoded it, some rows together: the server need not read rows that it
-- is to hand out again.

DROP TABLE staged_bot_metrics_rows, staged_bot_days_rows, staged_win_streaks_rows, staged_followed;
CREATE UNLOGGED TABLE staged_parts (
    plan    integer NOT NULL,
    shard   integer NOT NULL,
    meant   text NOT NULL,
    number  integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (plan, meant, shard, number)
) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
ALTER TABLE staged_parts ALTER COLUMN content SET STORAGE EXTERNAL;  -- it is compressed
COMMENT ON TABLE staged_parts IS 'Rows that shards of a plan have computed.';
COMMENT ON COLUMN staged_parts.meant IS 'The table for which they are meant.';
COMMENT ON COLUMN staged_parts.content IS 'Some of them, as a stream of Arrow.';
