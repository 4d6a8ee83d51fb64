-- Deletes successful runs that ended before %(before)s and of which nothing is left: no event, no result of a check.
DELETE FROM dagster.runs r
WHERE status = 'SUCCESS'
  AND end_time < extract(epoch FROM %(before)s::timestamptz)
  AND NOT EXISTS (SELECT FROM dagster.event_logs e WHERE e.run_id = r.run_id)
  AND run_id NOT IN (SELECT run_id FROM dagster.asset_check_executions WHERE run_id IS NOT NULL)
