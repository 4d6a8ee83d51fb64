"""Bars, the regimes of markets, and the scores of trades."""

from __future__ import annotations

from knowdefeat_pipeline.core.schema.figure import PARTITION, Figure, number

MARKET_TICKER = Figure("ticker", "text", "", "What is traded.", nullable=False)
TIMEFRAME = Figure("timeframe", "text", "", "The length of a bar, such as 15m, 1h or 1d.", nullable=False)

BAR_DAY: tuple[Figure, ...] = (
    PARTITION,
    MARKET_TICKER,
    TIMEFRAME,
    Figure("bars", "bigint", "bars", "Bars that open on the day.", nullable=False),
    Figure("gaps", "bigint", "bars", "Bars that are missing where the week before or after has one.", nullable=False),
)

REGIMES: tuple[Figure, ...] = (
    PARTITION,
    MARKET_TICKER,
    TIMEFRAME,
    Figure("open_time", "timestamptz", "UTC", "When the bar opens; its label holds from its close on.", nullable=False),
    Figure("label", "text", "", "TRENDING, RANGING or VOLATILE: entered at a probability of 0.70, held until another gets there; NEUTRAL before, and once its own is below 0.15.", nullable=False),
    number("p_trending", "probability", "Probability of TRENDING, from the bars up to this one."),
    number("p_ranging", "probability", "Probability of RANGING, from the bars up to this one."),
    number("p_volatile", "probability", "Probability of VOLATILE, from the bars up to this one."),
    number("average_true_range", "price", "Wilder's average true range over 14 bars, in the ticker's quote currency. NULL before the 14th bar."),
)

TRADE_SCORES: tuple[Figure, ...] = (
    Figure("trade_id", "bigint", "", "The closed trade.", nullable=False),
    number("price_model_score", "0..100", "50 + 50 · side · (2p - 1), p the forecast probability at entry that the next bar rises. NULL without bars."),
    number("volume_model_score", "0..100", "Percentile of the forecast volume of the bar after the entry among earlier forecasts. NULL without bars."),
    number("price_wall_score", "0..100", "50 + 50 · side · (bid - ask)/(bid + ask), sizes of the largest resting orders within 1 % at entry. NULL without an order book."),
    number("average_true_range", "price", "Wilder's average true range (14 bars) of the ticker at entry, of the shortest timeframe that has one; in the table trade_ranges. NULL without bars."),
)
