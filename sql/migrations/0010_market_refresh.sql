-- Which transaction wrote a bar, a snapshot of an order book or a score (see trades.recorded_xid): what the days that rest
-- on it have not seen is pending.

ALTER TABLE price_bars ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE order_book_levels ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE trade_scores
    ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN recorded_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX price_bars_recorded ON price_bars (recorded_xid);
CREATE INDEX order_book_levels_recorded ON order_book_levels (recorded_xid);
CREATE INDEX trade_scores_recorded ON trade_scores (recorded_xid);

CREATE FUNCTION recorded_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := clock_timestamp();
    NEW.recorded_xid := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER price_bars_recorded BEFORE UPDATE ON price_bars FOR EACH ROW EXECUTE FUNCTION recorded_now();
CREATE TRIGGER order_book_levels_recorded BEFORE UPDATE ON order_book_levels
    FOR EACH ROW EXECUTE FUNCTION recorded_now();
CREATE TRIGGER trade_scores_recorded BEFORE UPDATE ON trade_scores FOR EACH ROW EXECUTE FUNCTION recorded_now();

-- Market data and trades that were visible to this snapshot have reached every day that was computed.
CREATE TABLE settled_market (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen     pg_snapshot NOT NULL
);

-- As for the other tables whose days are replaced (see 0007).
ALTER TABLE market_regimes SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
