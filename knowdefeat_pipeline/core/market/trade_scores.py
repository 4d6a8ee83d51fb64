"""What the forecasts of a ticker's bars, and its order book, say of the trades that bots entered: scores from 0 to 100.

    price_model_score    50 + 50 · side · (2p - 1), p the forecast probability that the bar after the entry rises
    volume_model_score   percentile of the forecast volume of that bar among the model's forecasts for earlier bars
    price_wall_score     50 + 50 · side · (bid - ask)/(bid + ask), sizes of the largest resting orders within 1 %

A bot's score is the mean over its trades (see `metrics.score_means`). Without market data a score is NaN, never 50.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.market.forecasts import FORECASTS
from knowdefeat_pipeline.core.units import Floats, micros

FORECAST_AGE = pd.Timedelta(days=4)  # a stock exchange's long weekend


WALL_DISTANCE = 0.01


ROUNDING = 1e-9  # an order at exactly 1 % is within


BOOK_AGE = pd.Timedelta(minutes=5)


def trade_scores(
    trades: pd.DataFrame, forecasts: pd.DataFrame, timeframe: timedelta, walls: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The three scores of each trade of one ticker, under the trades' index; a bot's score is their mean without NaN.

    trades: entry_time, direction (LONG | SHORT), in any order. forecasts: as `model_forecasts` answers, for bars of
    length `timeframe`. walls: as `book_walls` answers, None where there is no order book.
    """
    side = np.where(trades["direction"] == "LONG", 1.0, -1.0)
    forecast = forecasts_at(forecasts, timeframe, trades["entry_time"])
    bid, ask = np.full((2, len(trades)), np.nan)
    if walls is not None:
        bid, ask = walls_at(walls, trades["entry_time"]).to_numpy().T
    return pd.DataFrame(
        {
            "price_model_score": price_model_score(forecast["p_up"].to_numpy(), side),
            "volume_model_score": forecast["volume_percentile"].to_numpy(),
            "price_wall_score": price_wall_score(bid, ask, side),
        },
        index=trades.index,
    )


def price_model_score(p_up: Floats, side: Floats) -> Floats:
    """50 + 50 · side · (2p - 1) per trade, side +1 LONG, -1 SHORT: 100 where the model was sure that it would pay."""
    return 50 + 50 * side * (2 * p_up - 1)


def price_wall_score(bid: Floats, ask: Floats, side: Floats) -> Floats:
    """50 + 50 · side · (bid - ask)/(bid + ask) per trade, from the sizes of the walls; NaN where both are 0."""
    total = bid + ask
    return 50 + 50 * side * (bid - ask) / np.where(total > 0, total, np.nan)


def forecasts_at(forecasts: pd.DataFrame, timeframe: timedelta, entries: pd.Series) -> pd.DataFrame:
    """p_up and volume_percentile in force at each entry, under the entries' index.

    They are those of the last bar that had closed by then (a bar closes at its open_time + `timeframe`; closing at the
    very instant counts), NaN where that was four days ago or more.
    """
    return _in_force(forecasts, forecasts["open_time"] + timeframe, FORECASTS, entries, FORECAST_AGE)


def ranges_at(open_time: pd.Series, ranges: Floats, timeframe: timedelta, entries: pd.Series) -> pd.Series:
    """The average true range in force at each entry, under the entries' index: that of the last bar that had closed by
    then, NaN where that was four days ago or more.

    open_time: of the bars; ranges: of the last ones of them, as `average_true_ranges` answers.
    """
    known = open_time.iloc[len(open_time) - len(ranges) :]
    table = pd.DataFrame({"average_true_range": ranges}, index=known.index)
    return _in_force(table, known + timeframe, ("average_true_range",), entries, FORECAST_AGE)["average_true_range"]


def book_walls(levels: pd.DataFrame) -> pd.DataFrame:
    """The walls of each snapshot of one ticker's order book, ascending in time.

    levels: time, side (bid | ask), price, size; a snapshot is all rows of one time. Returns time, bid and ask: the
    sizes of the largest resting bid and ask at a price within 1 % of the middle of the best two. A snapshot that lacks
    a side has no middle: both are NaN.
    """
    is_bid = levels["side"] == "bid"
    best_bid = levels["price"].where(is_bid).groupby(levels["time"]).transform("max")
    best_ask = levels["price"].where(~is_bid).groupby(levels["time"]).transform("min")
    near = (levels["price"] / ((best_bid + best_ask) / 2) - 1).abs() <= WALL_DISTANCE + ROUNDING
    sizes = {"bid": levels["size"].where(near & is_bid, 0.0), "ask": levels["size"].where(near & ~is_bid, 0.0)}
    walls = pd.DataFrame(sizes).where((best_bid + best_ask).notna())
    return walls.groupby(levels["time"]).max().reset_index()


def walls_at(walls: pd.DataFrame, entries: pd.Series) -> pd.DataFrame:
    """bid and ask of the last snapshot at or before each entry, NaN where it was five minutes old or more."""
    return _in_force(walls, walls["time"], ("bid", "ask"), entries, BOOK_AGE)


def _in_force(
    known: pd.DataFrame, since: pd.Series, columns: tuple[str, ...], instants: pd.Series, age: pd.Timedelta
) -> pd.DataFrame:
    """The rows of `known`, each in force from `since` on, that hold at `instants`; NaN where none is young enough."""
    begins, asked = micros(since), micros(instants)
    row = np.searchsorted(begins, asked, side="right") - 1
    # The NaN row at the end answers -1, which stands for none.
    values = np.vstack([known[list(columns)].to_numpy(float), np.full(len(columns), np.nan)])
    begins = np.append(begins, 0)
    row[asked - begins[row] >= age // pd.Timedelta(microseconds=1)] = -1
    return pd.DataFrame(values[row], columns=list(columns), index=instants.index)
