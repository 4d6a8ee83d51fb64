-- The server whose transaction ids the database holds, whether the row that says so was written here, whether we may write
-- another, and what can be known of this server without asking it for its control data.
SELECT i.system_identifier, i.timeline, i.database_oid::text::bigint AS database_oid,
       i.only_row IS NOT NULL AS is_known,
       coalesce(i.xmin::text::bigint = mod(i.written_by::text::numeric, 4294967296), false) AS was_written_here,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text::bigint AS current_oid,
       coalesce(has_function_privilege(to_regprocedure('pg_control_system()')::oid, 'EXECUTE')
           AND has_function_privilege(to_regprocedure('pg_control_checkpoint()')::oid, 'EXECUTE'), false) AS tells,
       has_table_privilege('cluster_identity', 'INSERT') AND has_table_privilege('cluster_identity', 'UPDATE')
           AND current_setting('transaction_read_only') = 'off' AS may_write
FROM (SELECT) AS one
LEFT JOIN cluster_identity AS i ON true
