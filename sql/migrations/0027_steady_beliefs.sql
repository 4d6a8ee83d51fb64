-- Robust edges, steady weights and the share of a book that is held; labels of regimes with hysteresis; average true range.

-- The same in each row of a day. NULL on days that were computed before it was known.
ALTER TABLE strategy_weights ADD COLUMN exposure double precision
    CONSTRAINT strategy_weights_exposure CHECK (exposure BETWEEN 0 AND 1);

-- Wilder's, over 14 bars, in the unit of the prices; NULL before the 14th bar.
ALTER TABLE market_regimes ADD COLUMN average_true_range double precision;

-- That of a closed trade's ticker at its entry, of the shortest timeframe that has one. Apart from trade_scores, which
-- rankings rest on.
CREATE TABLE trade_ranges (
    trade_id           bigint PRIMARY KEY REFERENCES trades ON DELETE CASCADE,
    average_true_range double precision NOT NULL CHECK (average_true_range >= 0 AND average_true_range < 'infinity')
);
COMMENT ON TABLE trade_ranges IS 'The average true range (Wilder, 14 bars) of closed trades'' tickers at their entries.';

CREATE OR REPLACE VIEW report.beliefs AS
SELECT b.as_of AS "time", b.day, b.strategy_id, b.regime, b.win_rate, b.win_rate_low, b.win_rate_high, b.edge, b.edge_low,
       b.edge_high, b.confidence, b.effective_samples, w.weight, w.exposure
FROM strategy_beliefs AS b
LEFT JOIN strategy_weights AS w USING (day, strategy_id);
COMMENT ON COLUMN report.beliefs.exposure IS 'The share of the whole book to hold at all, the same in each row of a day; the '
    'rest is cash.';

CREATE OR REPLACE VIEW report.regimes AS
SELECT open_time + timeframe_length(timeframe) AS "time", ticker, timeframe, label, p_trending, p_ranging, p_volatile,
       average_true_range
FROM market_regimes
WHERE isfinite(open_time);
COMMENT ON COLUMN report.regimes.average_true_range IS 'Wilder''s average true range over 14 bars, in the quote currency.';

-- Edges are computed otherwise: every day of beliefs is stale, and what earlier outcomes left behind is of no use.
SELECT note_change('belief_formulas', '-infinity') WHERE EXISTS (SELECT FROM refreshed_days WHERE asset = 'strategy_beliefs');
DELETE FROM belief_checkpoints;
DELETE FROM belief_checkpoints_state;

-- Labels are told otherwise, and entries lack their average true range: the market's days have seen no bar yet.
UPDATE refreshed_days SET seen = '1:1:' WHERE asset IN ('market_regimes', 'trade_scores');
DELETE FROM settled_changes WHERE family = 'market';
