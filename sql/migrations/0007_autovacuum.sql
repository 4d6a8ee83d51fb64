-- Days are replaced by deleting and inserting their rows, the running day up to once a second. The defaults let dead rows
-- come to a fifth of a table, so that it would grow with its history; a fixed number bounds them whatever the history.
-- Replaced rows are new rows: room for updates (fillfactor) would only double the table (benchmarks/bloat.py).

ALTER TABLE bot_metrics SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE win_streaks SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE win_streak_summary SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE bot_rankings SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE variable_weights SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
