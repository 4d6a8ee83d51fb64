-- The demo comes with funds, so that there is something to divide: nobody decided them, and they leave with its fleet.

ALTER TABLE fund_settings ADD COLUMN simulated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN fund_settings.simulated IS 'Whether they came with the simulated fleet, with which they leave.';

CREATE OR REPLACE FUNCTION decisions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    leaves boolean := current_setting('knowdefeat.simulated_fleet_leaves', true) = 'yes';
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'bot_events' THEN
        IF leaves AND OLD.kind IN ('halted', 'released') OR NOT EXISTS (SELECT FROM bots b WHERE b.bot_id = OLD.bot_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'fund_settings' THEN
        IF leaves AND OLD.simulated THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation',
        HINT = 'Record a new decision: the last one counts.';
END $$;

-- As before (see 0016).
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION decisions_append_only() SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp',
                   current_schema());
END $$;
