"""What two models of a ticker's bars foretell of the next bar: whether it rises, and how busy it is.

Both models are linear and fitted walk-forward (see `walk_forward`): the forecast at a bar's close rests on the bars up
to it alone, and later bars never change it. Features have no unit, so they mean the same at any price, volume and
length of a bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.market.bars import check_bars, true_range
from knowdefeat_pipeline.core.market.walk_forward import blocks, check_history, features_from
from knowdefeat_pipeline.core.units import Floats

FORECASTS = ("p_up", "volume_percentile")


FIRST_FIT = 256


MIN_EXAMPLES = 100


WINDOW = 48


PRICE_SHRINKAGE = 0.01  # C of the logistic regression: bars say little of the next one


VOLUME_SHRINKAGE = 10.0  # alpha of the ridge regression


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
    wanted = slice(max(0, since - position), None)
    frame = pd.DataFrame(forecasts[wanted], columns=list(FORECASTS), index=bars.index[wanted])
    frame.insert(0, "open_time", bars["open_time"].iloc[wanted])
    return frame


def _forecasts(bars: pd.DataFrame, oldest: int, start: int) -> Floats:
    """FORECASTS at the bars from `start` on, by models fitted on the bars from `oldest` up to `start`."""
    mean_volume = bars["volume"].astype(float).rolling(WINDOW).mean()
    price, volume = _price_features(bars), _volume_features(bars, mean_volume)
    rises, busier = _rises(bars), _relative_volume(bars["volume"].shift(-1), mean_volume).to_numpy()
    past = slice(oldest, start - 1)  # the outcome of the last bar is not known yet
    p_up = _probability(price[past], rises[past], price[start:])
    return np.column_stack([p_up, _percentile(volume[past], busier[past], volume[start:])])


def _rises(bars: pd.DataFrame) -> Floats:
    """1 where the next close is higher, 0 where it is lower, NaN where it is the same or unknown."""
    ahead = np.sign((bars["close"].shift(-1) - bars["close"]).to_numpy())
    return np.where(ahead == 0, np.nan, (ahead + 1) / 2)


def _price_features(bars: pd.DataFrame) -> Floats:
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


def _volume_features(bars: pd.DataFrame, mean_volume: pd.Series) -> Floats:
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


def _clipped(features: dict[str, pd.Series]) -> Floats:
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

    coefficients: Floats
    intercept: float

    def __call__(self, features: Floats) -> Floats:
        out: Floats = (features * self.coefficients).sum(axis=1) + self.intercept
        return out


def _fit(model: Any, features: Floats, outcome: Floats) -> _Linear:
    """Fit a linear scikit-learn model on standardised features; the answer takes them as they are."""
    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd[sd == 0] = 1.0
    model.fit((features - mean) / sd, outcome)
    coefficients = np.ravel(model.coef_) / sd
    return _Linear(coefficients, float(np.ravel(model.intercept_)[0] - coefficients @ mean))


def _probability(past: Floats, rises: Floats, block: Floats) -> Floats:
    from sklearn.linear_model import LogisticRegression

    usable = np.isfinite(past).all(axis=1) & np.isfinite(rises)
    if usable.sum() < MIN_EXAMPLES or np.ptp(rises[usable]) == 0:
        return np.full(len(block), np.nan)
    model = _fit(LogisticRegression(C=PRICE_SHRINKAGE), past[usable], rises[usable])
    out: Floats = scipy.special.expit(model(block))
    return out


def _percentile(past: Floats, busier: Floats, block: Floats) -> Floats:
    """Percentile of each forecast among those of the same model for the bars that it was fitted on, ties halved."""
    from sklearn.linear_model import Ridge

    usable = np.isfinite(past).all(axis=1) & np.isfinite(busier)
    if usable.sum() < MIN_EXAMPLES:
        return np.full(len(block), np.nan)
    model = _fit(Ridge(VOLUME_SHRINKAGE), past[usable], busier[usable])
    earlier, forecast = np.sort(model(past[usable])), model(block)
    below, upto = (np.searchsorted(earlier, forecast, side) for side in ("left", "right"))
    return np.where(np.isnan(forecast), np.nan, 50 * (below + upto) / len(earlier))
