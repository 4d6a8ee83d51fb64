-- Looks at the next %(rows)s events of a type (NULL: log messages) after the id %(after)s, oldest first, and deletes
-- those of runs that ended before %(before)s, and those from before %(before)s that belong to no run, as the live listener
-- reports them. A materialisation, and the intention to make one, goes once there is a later materialisation of the same
-- partition: the latest is its state, and an intention that was not carried out shows it as failed.
-- Returns how many were deleted, their bytes, the last id looked at, and whether younger ones have been reached.
WITH seen AS (
    SELECT id, run_id, asset_key, partition, timestamp < %(before)s::timestamptz AT TIME ZONE 'UTC' AS old
    FROM dagster.event_logs
    WHERE (dagster_event_type = %(type)s::text OR %(type)s::text IS NULL AND dagster_event_type IS NULL)
      AND id > %(after)s
    ORDER BY id
    LIMIT %(rows)s
), passing AS (
    SELECT seen.id
    FROM seen
    LEFT JOIN dagster.runs r USING (run_id)
    WHERE old
      AND (run_id = ''
           OR r.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
              AND coalesce(r.end_time, extract(epoch FROM r.update_timestamp AT TIME ZONE 'UTC'))
                  < extract(epoch FROM %(before)s::timestamptz))
      AND (coalesce(%(type)s::text, '') NOT IN ('ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED')
           OR EXISTS (SELECT FROM dagster.event_logs m
                      WHERE m.dagster_event_type = 'ASSET_MATERIALIZATION' AND m.asset_key = seen.asset_key
                        AND m.partition = seen.partition AND m.id > seen.id)
           OR seen.partition IS NULL
              AND EXISTS (SELECT FROM dagster.event_logs m
                          WHERE m.dagster_event_type = 'ASSET_MATERIALIZATION' AND m.asset_key = seen.asset_key
                            AND m.partition IS NULL AND m.id > seen.id))
), untagged AS (
    DELETE FROM dagster.asset_event_tags t USING passing WHERE t.event_id = passing.id
), deleted AS (
    DELETE FROM dagster.event_logs e USING passing WHERE e.id = passing.id RETURNING pg_column_size(e.*) AS bytes
)
SELECT (SELECT count(*) FROM deleted),
       (SELECT coalesce(sum(bytes), 0)::bigint FROM deleted),
       max(id),
       count(*) < %(rows)s OR NOT bool_and(old)
FROM seen
