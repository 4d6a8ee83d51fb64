-- Deletes the results of checks that a later result replaced, and likewise the intentions to check: those of runs that
-- ended before %(before)s, and those from before %(before)s that belong to no run, as the live listener reports them.
-- The latest of each check and partition stays.
WITH latest AS (
    SELECT asset_key, check_name, partition, max(id) AS id, max(id) FILTER (WHERE execution_status <> 'PLANNED') AS result
    FROM dagster.asset_check_executions
    GROUP BY asset_key, check_name, partition
)
DELETE FROM dagster.asset_check_executions x
USING latest l
WHERE (l.asset_key, l.check_name) = (x.asset_key, x.check_name)
  AND l.partition IS NOT DISTINCT FROM x.partition
  AND x.id < CASE x.execution_status WHEN 'PLANNED' THEN l.id ELSE l.result END
  AND CASE x.run_id
      WHEN '' THEN x.evaluation_event_timestamp < %(before)s::timestamptz AT TIME ZONE 'UTC'
      ELSE EXISTS (SELECT FROM dagster.runs r
                   WHERE r.run_id = x.run_id AND r.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
                     AND coalesce(r.end_time, extract(epoch FROM r.update_timestamp AT TIME ZONE 'UTC'))
                         < extract(epoch FROM %(before)s::timestamptz))
      END
