-- Whether a session of this database holds the advisory lock (%(lock)s, %(number)s).
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND (classid, objid) = (%(lock)s::oid, %(number)s::oid)
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
