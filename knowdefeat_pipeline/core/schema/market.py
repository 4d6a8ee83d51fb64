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
    number("p_trending", "probability", "Probability of TRENDING, from the bars up to this one; a third before the first fit."),
    number("p_ranging", "probability", "Probability of RANGING, from the bars up to this one; a third before the first fit."),
    number("p_volatile", "probability", "Probability of VOLATILE, from the bars up to this one; a third before the first fit."),
    number("average_true_range", "price", "Wilder's average true range over 14 bars, in the ticker's quote currency. NULL before the 14th bar."),
)

LABEL, *PROBABILITIES, RANGE = REGIMES[4:]
CLOSED = Figure("as_of", "timestamptz", "UTC", "When the bar closed, from which its label holds.", nullable=False)

REGIME_NOW: tuple[Figure, ...] = (
    MARKET_TICKER,
    TIMEFRAME,
    LABEL,
    Figure("since", "timestamptz", "UTC", "When the first bar of the run of this label closed.", nullable=False),
    *PROBABILITIES,
    RANGE,
    number("trending", "share", "Share of the bars of 30 days that are TRENDING."),
    number("ranging", "share", "Share of the bars of 30 days that are RANGING."),
    number("volatile", "share", "Share of the bars of 30 days that are VOLATILE."),
    number("neutral", "share", "Share of the bars of 30 days that are NEUTRAL."),
    CLOSED,
    Figure("last_bar", "timestamptz", "UTC", "When the last bar that was loaded opens: later bars than the label's are not computed yet."),
)

REGIME_BAR: tuple[Figure, ...] = (
    REGIMES[3],
    CLOSED,
    LABEL,
    *PROBABILITIES,
    RANGE,
    *(Figure(name, "double precision", "price", f"The {meaning} of the bar.", nullable=False) for name, meaning in (("open", "first price"), ("high", "highest price"), ("low", "lowest price"), ("close", "last price"))),
    number("volume", "", "What was traded in the bar, as its source counts. NULL where that is not known."),
)

TRADE_SCORES: tuple[Figure, ...] = (
    Figure("trade_id", "bigint", "", "The closed trade.", nullable=False),
    number("price_model_score", "0..100", "50 + 50 · side · (2p - 1), p the forecast probability at entry that the next bar rises. NULL without bars."),
    number("volume_model_score", "0..100", "Percentile of the forecast volume of the bar after the entry among earlier forecasts. NULL without bars."),
    number("price_wall_score", "0..100", "50 + 50 · side · (bid - ask)/(bid + ask), sizes of the largest resting orders within 1 % at entry. NULL without an order book."),
    number("average_true_range", "price", "Wilder's average true range (14 bars) of the ticker at entry, of the shortest timeframe that has one; in the table trade_ranges. NULL without bars."),
)
