-- The last %(most)s of Dagster's runs and all that have not ended, the latest first.
SELECT r.run_id, r.pipeline_name AS job, r.status, r.create_timestamp AT TIME ZONE 'UTC' AS requested_at,
       to_timestamp(r.start_time) AS started_at, to_timestamp(r.end_time) AS ended_at
FROM dagster.runs AS r
WHERE r.status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')
   OR r.id IN (SELECT l.id FROM dagster.runs AS l ORDER BY l.id DESC LIMIT %(most)s)
ORDER BY r.id DESC
