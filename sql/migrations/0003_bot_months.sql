-- Months of trades folded into summaries, so that lifetime figures never read the far past again.

CREATE TABLE bot_months (
    month        date NOT NULL CHECK (extract(day FROM month) = 1),
    bot_id       integer NOT NULL,
    ticker       text NOT NULL,
    last_day     date NOT NULL,
    trades       bigint NOT NULL,
    wins         bigint NOT NULL,
    pnl          double precision NOT NULL,
    gross_profit double precision NOT NULL,
    gross_loss   double precision NOT NULL,
    peak         double precision NOT NULL,
    first_exit   timestamptz NOT NULL,
    last_exit    timestamptz NOT NULL,
    leg_peaks    double precision[] NOT NULL,
    leg_troughs  double precision[] NOT NULL,
    PRIMARY KEY (month, bot_id, ticker)
);
COMMENT ON TABLE bot_months IS 'Closed trades of a calendar month (UTC) per bot and ticker (* for all), folded: counts, '
    'sums, high-water mark and the legs of the equity path from which any longer path''s deepest drawdown follows.';

-- Months before `complete_before` hold every trade that a transaction below `recorded_below` wrote.
CREATE TABLE bot_months_state (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    complete_before date NOT NULL,
    recorded_below  xid8 NOT NULL
);
