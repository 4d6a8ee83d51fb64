-- Market data: bars and order-book snapshots as they arrived, and what is learned from them.

CREATE TABLE price_bars (
    ticker      text NOT NULL CHECK (ticker <> '' AND ticker <> '*'),
    timeframe   text NOT NULL CHECK (timeframe ~ '^[1-9][0-9]*[mhdw]$'),
    open_time   timestamptz NOT NULL,
    open        double precision NOT NULL CHECK (open > 0 AND open < 'infinity'),
    high        double precision NOT NULL CHECK (high < 'infinity'),
    low         double precision NOT NULL CHECK (low > 0),
    close       double precision NOT NULL CHECK (close > 0 AND close < 'infinity'),
    volume      double precision CHECK (volume >= 0 AND volume < 'infinity'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (ticker, timeframe, open_time),
    CONSTRAINT price_bars_range CHECK (low <= least(open, close) AND high >= greatest(open, close))
);

-- The resting orders of one instant: size in units of the ticker per price and side.
CREATE TABLE order_book_levels (
    ticker      text NOT NULL CHECK (ticker <> '' AND ticker <> '*'),
    observed_at timestamptz NOT NULL,
    side        text NOT NULL CHECK (side IN ('BID', 'ASK')),
    price       double precision NOT NULL CHECK (price > 0 AND price < 'infinity'),
    size        double precision NOT NULL CHECK (size >= 0 AND size < 'infinity'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (ticker, observed_at, side, price)
);

-- One label per bar, told from the bars up to it.
CREATE TABLE market_regimes (
    day         date NOT NULL,
    ticker      text NOT NULL,
    timeframe   text NOT NULL,
    open_time   timestamptz NOT NULL,
    label       text NOT NULL CHECK (label IN ('TRENDING', 'RANGING', 'VOLATILE', 'NEUTRAL')),
    p_trending  double precision,
    p_ranging   double precision,
    p_volatile  double precision,
    PRIMARY KEY (ticker, timeframe, open_time)
);
CREATE INDEX market_regimes_day ON market_regimes (day);

-- How a closed trade's entry stood to the market, 0..100; NULL where the market data do not tell.
CREATE TABLE trade_scores (
    trade_id           bigint PRIMARY KEY REFERENCES trades ON DELETE CASCADE,
    price_model_score  double precision CHECK (price_model_score BETWEEN 0 AND 100),
    volume_model_score double precision CHECK (volume_model_score BETWEEN 0 AND 100),
    price_wall_score   double precision CHECK (price_wall_score BETWEEN 0 AND 100)
);
