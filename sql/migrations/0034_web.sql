-- What the pages and the API rest on: bots' days, the news that results changed, and tokens.

-- Trades by their fees too.
DO $$
DECLARE
    told text := pg_get_viewdef('closed_trades'::regclass);
    with_fees text := regexp_replace(told, 't\.recorded_xid(?=\s+FROM)', 't.recorded_xid, t.fees');
BEGIN
    IF with_fees = told THEN
        RAISE EXCEPTION 'the view closed_trades does not end as expected';
    END IF;
    EXECUTE 'CREATE OR REPLACE VIEW closed_trades AS ' || with_fees;
END $$;

-- What closed on a day of bot_metrics that is computed, up to its as_of; written and marked with it.
CREATE TABLE bot_days_rows (
    day    date NOT NULL,
    bot_id integer NOT NULL,
    ticker text NOT NULL,
    trades bigint NOT NULL,
    wins   bigint NOT NULL,
    pnl    double precision NOT NULL,
    fees   double precision NOT NULL,
    PRIMARY KEY (day, bot_id, ticker)
);
-- Pages ask for one bot's days; steps for one day's bots.
CREATE INDEX bot_days_rows_bot ON bot_days_rows (bot_id, day);
-- As for the other tables whose days are replaced (see 0007).
ALTER TABLE bot_days_rows SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Beside what closed, what is open, which changes with prices though nothing was traded. (A union, and no outer join, so
-- that a condition on day or bot reaches both tables.)
CREATE VIEW bot_days AS
SELECT day, bot_id, ticker, sum(trades)::bigint AS trades, sum(wins)::bigint AS wins, sum(pnl) AS pnl, sum(fees) AS fees,
       sum(open_pnl) AS open_pnl
FROM (SELECT day, bot_id, ticker, trades, wins, pnl, fees, NULL::double precision AS open_pnl FROM bot_days_rows
      UNION ALL
      SELECT day, bot_id, ticker, 0, 0, 0, 0, open_pnl FROM open_positions WHERE ticker <> '*') AS d
GROUP BY day, bot_id, ticker;

-- Days that are computed have them from the beginning on.
INSERT INTO bot_days_rows (day, bot_id, ticker, trades, wins, pnl, fees)
SELECT m.day, t.bot_id, t.ticker, count(*), count(*) FILTER (WHERE t.is_win),
       sum(t.pnl ORDER BY t.exit_time, t.entry_time, t.trade_id), sum(t.fees ORDER BY t.exit_time, t.entry_time, t.trade_id)
FROM refreshed_days AS m
JOIN closed_trades AS t ON t.exit_time >= day_start(m.day) AND t.exit_time < m.as_of
    AND pg_visible_in_snapshot(t.recorded_xid, m.seen)
WHERE m.asset = 'bot_metrics'
GROUP BY m.day, t.bot_id, t.ticker;

-- Whoever shows results hears that they changed, once the change is committed; what it is he reads.
CREATE FUNCTION tell_of_results() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY knowdefeat_results;
    RETURN NULL;
END $$;
CREATE TRIGGER refreshed_days_told AFTER INSERT OR UPDATE OR DELETE ON refreshed_days
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
-- So do decisions and names, which stand beside results.
CREATE TRIGGER bots_told AFTER INSERT OR UPDATE OR DELETE ON bots FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
CREATE TRIGGER bot_events_told AFTER INSERT ON bot_events FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
CREATE TRIGGER trade_quarantine_told AFTER INSERT OR UPDATE OR DELETE ON trade_quarantine
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();

-- Who may do what over HTTP. Of a token only its hash is kept: SHA-256, as 32 random bytes need no slow one.
CREATE TABLE api_tokens (
    token_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL CHECK (is_plain_name(name) AND is_visible_name(name) AND NOT is_blank(name)),
    scope      text NOT NULL CHECK (scope IN ('read', 'ingest', 'admin')),
    hash       text NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$'),
    made_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE api_tokens IS 'Who may do what over HTTP: read, ingest or admin, each of which includes the one before.';
COMMENT ON COLUMN api_tokens.hash IS 'SHA-256 of the token, in hexadecimal digits. The token itself is nowhere in the database.';
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL;
