-- The checks of assets that failed when they were last made. Which there are is found by hopping through the index, instead
-- of by reading all that were ever made.
WITH RECURSIVE hop AS (
    (SELECT asset_key, check_name FROM dagster.asset_check_executions ORDER BY 1, 2 LIMIT 1)
    UNION ALL
    SELECT next.asset_key, next.check_name
    FROM hop
    CROSS JOIN LATERAL (
        SELECT c.asset_key, c.check_name FROM dagster.asset_check_executions AS c
        WHERE (c.asset_key, c.check_name) > (hop.asset_key, hop.check_name)
        ORDER BY c.asset_key, c.check_name LIMIT 1
    ) AS next
)
SELECT hop.asset_key::json ->> 0 AS asset, hop.check_name AS name, last.run_id,
       coalesce(last.evaluation_event_timestamp, last.create_timestamp) AT TIME ZONE 'UTC' AS checked_at
FROM hop
CROSS JOIN LATERAL (
    SELECT c.run_id, c.evaluation_event_timestamp, c.create_timestamp, c.execution_status
    FROM dagster.asset_check_executions AS c
    WHERE (c.asset_key, c.check_name) = (hop.asset_key, hop.check_name) AND c.execution_status <> 'PLANNED'
    ORDER BY c.id DESC LIMIT 1
) AS last
WHERE last.execution_status = 'FAILED'
ORDER BY 1, 2
