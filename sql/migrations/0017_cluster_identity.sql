-- Transaction ids mean something on the server that gave them out, and nowhere else. The database notes which server that
-- was, so that a copy on another one is noticed; and what a row says of transactions is true when it is written.

CREATE TABLE cluster_identity (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Of pg_control_system(); NULL where the server does not tell.
    system_identifier bigint,
    timeline          integer,
    database_oid      oid NOT NULL,
    -- The transaction that wrote this row, and therefore its xmin: a row that was copied out and in has another one.
    written_by        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE cluster_identity IS 'The server, and the database of it, that the transaction ids in this database belong to.';

-- Rows of a data-only dump or a logical replica bring the numbers of their server along. Here they are changes of the
-- transaction that writes them. (ALWAYS: a replica's worker fires no other triggers.)
CREATE FUNCTION recorded_here() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.recorded_xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER trades_recorded_here BEFORE INSERT OR UPDATE ON trades FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE trades ENABLE ALWAYS TRIGGER trades_recorded_here;
CREATE TRIGGER trade_scores_recorded_here BEFORE INSERT OR UPDATE ON trade_scores FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE trade_scores ENABLE ALWAYS TRIGGER trade_scores_recorded_here;
CREATE TRIGGER price_bars_recorded_here BEFORE INSERT OR UPDATE ON price_bars FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE price_bars ENABLE ALWAYS TRIGGER price_bars_recorded_here;
CREATE TRIGGER order_book_levels_recorded_here BEFORE INSERT OR UPDATE ON order_book_levels FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE order_book_levels ENABLE ALWAYS TRIGGER order_book_levels_recorded_here;
CREATE TRIGGER weight_versions_recorded_here BEFORE INSERT OR UPDATE ON weight_versions FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE weight_versions ENABLE ALWAYS TRIGGER weight_versions_recorded_here;
CREATE TRIGGER fund_settings_recorded_here BEFORE INSERT OR UPDATE ON fund_settings FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE fund_settings ENABLE ALWAYS TRIGGER fund_settings_recorded_here;
CREATE TRIGGER bot_events_recorded_here BEFORE INSERT OR UPDATE ON bot_events FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE bot_events ENABLE ALWAYS TRIGGER bot_events_recorded_here;
CREATE TRIGGER input_changes_recorded_here BEFORE INSERT OR UPDATE ON input_changes FOR EACH ROW
    WHEN (NEW.recorded_xid <> pg_current_xact_id()) EXECUTE FUNCTION recorded_here();
ALTER TABLE input_changes ENABLE ALWAYS TRIGGER input_changes_recorded_here;

-- Nobody has seen what has not happened yet: such a snapshot is another server's, and shows nothing of this one.
CREATE FUNCTION seen_here() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.seen := '1:1:';
    RETURN NEW;
END $$;
CREATE TRIGGER refreshed_days_seen_here BEFORE INSERT OR UPDATE ON refreshed_days FOR EACH ROW
    WHEN (pg_snapshot_xmax(NEW.seen) > pg_snapshot_xmax(pg_current_snapshot())) EXECUTE FUNCTION seen_here();
ALTER TABLE refreshed_days ENABLE ALWAYS TRIGGER refreshed_days_seen_here;
CREATE TRIGGER settled_changes_seen_here BEFORE INSERT OR UPDATE ON settled_changes FOR EACH ROW
    WHEN (pg_snapshot_xmax(NEW.seen) > pg_snapshot_xmax(pg_current_snapshot())) EXECUTE FUNCTION seen_here();
ALTER TABLE settled_changes ENABLE ALWAYS TRIGGER settled_changes_seen_here;
CREATE TRIGGER belief_checkpoints_state_seen_here BEFORE INSERT OR UPDATE ON belief_checkpoints_state FOR EACH ROW
    WHEN (pg_snapshot_xmax(NEW.seen) > pg_snapshot_xmax(pg_current_snapshot())) EXECUTE FUNCTION seen_here();
ALTER TABLE belief_checkpoints_state ENABLE ALWAYS TRIGGER belief_checkpoints_state_seen_here;
