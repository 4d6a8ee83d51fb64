-- Versions are append-only, so a day's rows can only name one that stays: a look-up per row, which doubled the time of
-- writing a range of days, guarded against nothing.
ALTER TABLE bot_rankings DROP CONSTRAINT bot_rankings_weight_version_fkey;
