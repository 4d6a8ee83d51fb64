-- The imports that brought the simulated trades go with them.
UPDATE imports SET undone_at = clock_timestamp(), undone_by = 'simulation'
WHERE undone_at IS NULL AND import_id IN (SELECT DISTINCT import_id FROM trades WHERE simulated)
