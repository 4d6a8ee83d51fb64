"""What two models of a ticker's bars, and its order book, say of the trades that bots entered: scores from 0 to 100.

    price_model_score    50 + 50 · side · (2p - 1), p the forecast probability that the bar after the entry rises
    volume_model_score   percentile of the forecast volume of that bar among the model's forecasts for earlier bars
    price_wall_score     50 + 50 · side · (bid - ask)/(bid + ask), sizes of the largest resting orders within 1 %

A bot's score is the mean over its trades. Both models are linear and fitted walk-forward (see `walk_forward`): the
forecast at a bar's close rests on the bars up to it alone, and later bars never change it. Features have no unit, so
they mean the same at any price, volume and length of a bar. Without market data a score is NaN, never 50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.market.bars import check_bars, true_range
from knowdefeat_pipeline.core.market.walk_forward import blocks, check_history, features_from

FORECASTS = ("p_up", "volume_percentile")
FIRST_FIT = 256
MIN_EXAMPLES = 100
WINDOW = 48
PRICE_SHRINKAGE = 0.01  # C of the logistic regression: bars say little of the next one
VOLUME_SHRINKAGE = 10.0  # alpha of the ridge regression
FORECAST_AGE = pd.Timedelta(days=4)  # a stock exchange's long weekend
WALL_DISTANCE = 0.01
ROUNDING = 1e-9  # an order at exactly 1 % is within
BOOK_AGE = pd.Timedelta(minutes=5)
LEAST_VOLUME = 1e-3  # of the trailing mean: what a bar without trades counts


def model_forecasts(bars: pd.DataFrame, *, position: int = 0, since: int = 0) -> pd.DataFrame:
    """What the models say of the next bar, at the close of each bar of one ticker and timeframe.

    bars, `position`, `since`: as for `label_regimes`, with bars from `needed_from(since, FIRST_FIT)` on; open_time is a
    timestamp (the hour and the weekday are features).

    Returns a row per bar from `since` on, under its index in `bars`: open_time, p_up (probability that the next bar
    closes higher, in (0, 1)) and volume_percentile (0..100). NaN before the first fit, 256 bars in, and where the past
    does not suffice: fewer than 100 usable examples, only rises or only falls, a flat price, no volumes.

    Raises BarError for bars that cannot be used, SeriesError where needed ones are left out.
    """
    check_bars(bars)
    check_history(position, since, FIRST_FIT)
    forecasts = np.full((len(bars), len(FORECASTS)), np.nan)
    for oldest, start, stop in blocks(since, position + len(bars), FIRST_FIT):
        if start:
            reach = features_from(oldest)
            seen = bars.iloc[reach - position : stop - position]
            forecasts[start - position : stop - position] = _forecasts(seen, oldest - reach, start - reach)
    shown = slice(max(0, since - position), None)
    frame = pd.DataFrame(forecasts[shown], columns=list(FORECASTS), index=bars.index[shown])
    frame.insert(0, "open_time", bars["open_time"].iloc[shown])
    return frame


def _forecasts(bars: pd.DataFrame, oldest: int, start: int) -> np.ndarray:
    """FORECASTS at the bars from `start` on, by models fitted on the bars from `oldest` up to `start`."""
    mean_volume = bars["volume"].astype(float).rolling(WINDOW).mean()
    price, volume = _price_features(bars), _volume_features(bars, mean_volume)
    rises, busier = _rises(bars), _relative_volume(bars["volume"].shift(-1), mean_volume).to_numpy()
    past = slice(oldest, start - 1)  # the outcome of the last bar is not known yet
    p_up = _probability(price[past], rises[past], price[start:])
    return np.column_stack([p_up, _percentile(volume[past], busier[past], volume[start:])])


def _rises(bars: pd.DataFrame) -> np.ndarray:
    """1 where the next close is higher, 0 where it is lower, NaN where it is the same or unknown."""
    ahead = np.sign((bars["close"].shift(-1) - bars["close"]).to_numpy())
    return np.where(ahead == 0, np.nan, (ahead + 1) / 2)


def _price_features(bars: pd.DataFrame) -> np.ndarray:
    """Recent moves against their volatility, and where the close stands in its bar and in its channel."""
    close = np.log(bars["close"])
    move = close.diff()
    with np.errstate(divide="ignore", invalid="ignore"):
        volatility = np.sqrt((move**2).rolling(WINDOW).mean())
        features = {f"move_{lag}": move.shift(lag) / volatility for lag in range(3)}
        for length in (6, 24, WINDOW):
            features[f"moves_{length}"] = close.diff(length) / (volatility * np.sqrt(length))
            high, low = bars["high"].rolling(length).max(), bars["low"].rolling(length).min()
            features[f"channel_{length}"] = (2 * bars["close"] - high - low) / (high - low)
        bar = (2 * bars["close"] - bars["high"] - bars["low"]) / (bars["high"] - bars["low"])
    return _clipped(features | {"bar": bar.fillna(0.0)})


def _volume_features(bars: pd.DataFrame, mean_volume: pd.Series) -> np.ndarray:
    """Recent volumes and ranges against their trailing means, and the time of the day and of the week."""
    relative = _relative_volume(bars["volume"], mean_volume)
    size = true_range(bars)
    hour = 2 * np.pi * (bars["open_time"] - bars["open_time"].dt.normalize()) / pd.Timedelta(days=1)
    week = 2 * np.pi * (bars["open_time"].dt.day_of_week + hour / (2 * np.pi)) / 7
    with np.errstate(divide="ignore", invalid="ignore"):
        features = {f"volume_{lag}": relative.shift(lag) for lag in range(3)}
        features |= {f"volumes_{length}": relative.rolling(length).mean() for length in (6, 24)}
        features |= {f"range_{length}": size.rolling(length).mean() / size.rolling(WINDOW).mean() for length in (1, 6)}
    for name, angle in {"hour": hour, "half_day": 2 * hour, "week": week}.items():
        features |= {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}
    return _clipped(features)


def _clipped(features: dict[str, pd.Series]) -> np.ndarray:
    """As a matrix, within ±5, NaN where not finite: one freak bar moves no fit far."""
    matrix = np.column_stack([series.to_numpy(float) for series in features.values()])
    return np.where(np.isfinite(matrix), np.clip(matrix, -5, 5), np.nan)


def _relative_volume(volume: pd.Series, mean: pd.Series) -> pd.Series:
    """Log of volumes against a trailing mean; NaN where there was no volume to compare with."""
    mean = mean.where(mean > 0)
    return pd.Series(np.log(volume.clip(lower=LEAST_VOLUME * mean) / mean))


@dataclass(frozen=True)
class _Linear:
    """A fitted linear function of features. Summed row by row, so that a row's bits do not depend on its neighbours."""

    coefficients: np.ndarray
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return (features * self.coefficients).sum(axis=1) + self.intercept


def _fit(model: Any, features: np.ndarray, outcome: np.ndarray) -> _Linear:
    """Fit a linear scikit-learn model on standardised features; the answer takes them as they are."""
    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd[sd == 0] = 1.0
    model.fit((features - mean) / sd, outcome)
    coefficients = np.ravel(model.coef_) / sd
    return _Linear(coefficients, float(np.ravel(model.intercept_)[0] - coefficients @ mean))


def _probability(past: np.ndarray, rises: np.ndarray, block: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    usable = np.isfinite(past).all(axis=1) & np.isfinite(rises)
    if usable.sum() < MIN_EXAMPLES or np.ptp(rises[usable]) == 0:
        return np.full(len(block), np.nan)
    model = _fit(LogisticRegression(C=PRICE_SHRINKAGE), past[usable], rises[usable])
    return scipy.special.expit(model(block))


def _percentile(past: np.ndarray, busier: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Percentile of each forecast among those of the same model for the bars that it was fitted on, ties halved."""
    from sklearn.linear_model import Ridge

    usable = np.isfinite(past).all(axis=1) & np.isfinite(busier)
    if usable.sum() < MIN_EXAMPLES:
        return np.full(len(block), np.nan)
    model = _fit(Ridge(VOLUME_SHRINKAGE), past[usable], busier[usable])
    earlier, forecast = np.sort(model(past[usable])), model(block)
    below, upto = (np.searchsorted(earlier, forecast, side) for side in ("left", "right"))
    return np.where(np.isnan(forecast), np.nan, 50 * (below + upto) / len(earlier))


def trade_scores(
    trades: pd.DataFrame, forecasts: pd.DataFrame, timeframe: pd.Timedelta, walls: pd.DataFrame | None = None
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


def price_model_score(p_up: np.ndarray, side: np.ndarray) -> np.ndarray:
    """50 + 50 · side · (2p - 1) per trade, side +1 LONG, -1 SHORT: 100 where the model was sure that it would pay."""
    return 50 + 50 * side * (2 * p_up - 1)


def price_wall_score(bid: np.ndarray, ask: np.ndarray, side: np.ndarray) -> np.ndarray:
    """50 + 50 · side · (bid - ask)/(bid + ask) per trade, from the sizes of the walls; NaN where both are 0."""
    total = bid + ask
    return 50 + 50 * side * (bid - ask) / np.where(total > 0, total, np.nan)


def forecasts_at(forecasts: pd.DataFrame, timeframe: pd.Timedelta, entries: pd.Series) -> pd.DataFrame:
    """p_up and volume_percentile in force at each entry, under the entries' index.

    They are those of the last bar that had closed by then (a bar closes at its open_time + `timeframe`; closing at the
    very instant counts), NaN where that was four days ago or more.
    """
    return _in_force(forecasts, forecasts["open_time"] + timeframe, FORECASTS, entries, FORECAST_AGE)


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
    begins, asked = _micros(since), _micros(instants)
    row = np.searchsorted(begins, asked, side="right") - 1
    # The NaN row at the end answers -1, which stands for none.
    values = np.vstack([known[list(columns)].to_numpy(float), np.full(len(columns), np.nan)])
    begins = np.append(begins, 0)
    row[asked - begins[row] >= age // pd.Timedelta(microseconds=1)] = -1
    return pd.DataFrame(values[row], columns=list(columns), index=instants.index)


def _micros(instants: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(instants).as_unit("us").asi8
