-- The database's transaction ids are those of this server.
INSERT INTO cluster_identity (system_identifier, timeline, database_oid)
VALUES (%(system_identifier)s, %(timeline)s, %(database_oid)s::bigint::oid)
ON CONFLICT (only_row) DO UPDATE
SET system_identifier = excluded.system_identifier, timeline = excluded.timeline, database_oid = excluded.database_oid,
    written_by = excluded.written_by, recorded_at = excluded.recorded_at
