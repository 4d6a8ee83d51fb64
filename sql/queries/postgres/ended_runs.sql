-- Those of the runs %(run_ids)s that ended before %(before)s.
SELECT run_id
FROM dagster.runs
WHERE run_id = ANY(%(run_ids)s)
  AND status IN ('SUCCESS', 'FAILURE', 'CANCELED')
  AND coalesce(end_time, extract(epoch FROM update_timestamp AT TIME ZONE 'UTC'))
      < extract(epoch FROM %(before)s::timestamptz)
