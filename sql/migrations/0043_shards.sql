-- Shards of bots: where several processes leave what they computed of a refresh until one transaction publishes it, and
-- indexes from which a range of bots is read by itself.

-- A plan is a refresh in shards. It lives as long as a session holds the advisory lock of its number (see scale/staging.py);
-- what a plan that is over left goes with its row, and nobody can add to it: a shard is written in the transaction that
-- notes it.
CREATE UNLOGGED TABLE staged_plans (
    plan    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNLOGGED TABLE staged_shards (
    plan  integer NOT NULL REFERENCES staged_plans ON DELETE CASCADE,
    shard integer NOT NULL,
    done  jsonb NOT NULL,  -- what the shard says of itself: a handful of numbers
    PRIMARY KEY (plan, shard)
);
COMMENT ON TABLE staged_plans IS 'Refreshes that are under way in shards of bots.';
COMMENT ON TABLE staged_shards IS 'The shards of a plan that are computed.';

-- The columns of each are the plan and those of the table for which the rows are meant. They are read once as a whole, and
-- emptied: to vacuum and analyse them would be work for nothing.
CREATE UNLOGGED TABLE staged_bot_metrics_rows (plan integer NOT NULL, LIKE bot_metrics_rows) WITH (autovacuum_enabled = false);
CREATE UNLOGGED TABLE staged_bot_days_rows (plan integer NOT NULL, LIKE bot_days_rows) WITH (autovacuum_enabled = false);
CREATE UNLOGGED TABLE staged_win_streaks_rows (plan integer NOT NULL, LIKE win_streaks_rows) WITH (autovacuum_enabled = false);
-- What the slow variables follow from, which are measured against the other bots of a group.
CREATE UNLOGGED TABLE staged_followed (
    plan                integer NOT NULL,
    as_of               timestamptz NOT NULL,
    bot_id              integer NOT NULL,
    volatility          double precision,
    main_ticker         text,
    main_direction      text,
    one_day_performance double precision
) WITH (autovacuum_enabled = false);

CREATE INDEX bot_months_bot ON bot_months (bot_id, month);

-- Afterwards, while others write:
CREATE INDEX CONCURRENTLY IF NOT EXISTS trades_of_bot ON trades (bot_id, exit_time)
    INCLUDE (trade_id, ticker, direction, entry_time, pnl, exit_price, exit_trigger_price, fees, recorded_xid)
    WHERE status = 'closed';
DROP INDEX CONCURRENTLY IF EXISTS trades_bot_exit;
