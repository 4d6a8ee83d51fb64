-- Versions are append-only, so a day's rows can only name one that stays: a look-up per row, which doubled the time of
-- writing a range of days, guarded against nothing.
ALTER TABLE bot_rankings DROP CONSTRAINT bot_rankings_weight_version_fkey;

-- That a range holds few days: without it the planner sorts all trades to count them by day.
CREATE STATISTICS trades_exit_day ON ((exit_time AT TIME ZONE 'UTC')::date) FROM trades;

-- Names what `bot_months` holds: who has read it need not read it again while the name stays.
ALTER TABLE bot_months_state ADD COLUMN content uuid NOT NULL DEFAULT gen_random_uuid();
