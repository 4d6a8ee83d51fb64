-- Whether no session holds the lock of the run %(run)s, and whether it was heard of in the last %(silent)s seconds.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(run)s, 0)) AS is_free,
       EXISTS (SELECT FROM dagster.event_logs
               WHERE run_id = %(run)s
                 AND timestamp > clock_timestamp() AT TIME ZONE 'UTC' - %(silent)s * interval '1 second') AS was_heard
