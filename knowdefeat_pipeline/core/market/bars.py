"""Bars of one ticker and timeframe: what makes them usable, and how far they move."""

from __future__ import annotations

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.market.timeframes import BarError
from knowdefeat_pipeline.core.units import Bools, Floats

PRICES = ("open", "high", "low", "close")
COLUMNS = ("open_time", *PRICES, "volume")
ATR_BARS = 14


def check_bars(bars: pd.DataFrame) -> None:
    """Raise BarError unless these are bars of one series.

    Open times (timestamps or numbers) ascend and occur once, prices are finite and above 0 with low <= high, and a
    volume is not negative (it may be NaN). Bars may be missing: they are counted as they come. A row is named by its
    label in the frame's index.
    """
    missing = [name for name in COLUMNS if name not in bars]
    if missing:
        raise BarError(f"bars need the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    for name in PRICES:
        price = bars[name].to_numpy(float)
        _refuse(bars, name, ~np.isfinite(price) | (price <= 0), "a price is a finite number above 0")
    _refuse(bars, "high", (bars["high"] < bars["low"]).to_numpy(), "high is not below low; swap or correct them")
    _refuse(bars, "volume", (bars["volume"] < 0).to_numpy(), "a volume is not negative; leave it empty where unknown")
    unordered = ~(bars["open_time"] > bars["open_time"].shift()).to_numpy()
    unordered[:1] = bars["open_time"].isna()[:1]
    _refuse(bars, "open_time", unordered, "each bar opens after the one before; sort the bars and drop repeated ones")


def true_range(bars: pd.DataFrame) -> pd.Series:
    """The log of each bar's highest over its lowest price, the close before it among them (Wilder 1978)."""
    before = bars["close"].shift(1).fillna(bars["open"])
    return pd.Series(np.log(bars["high"].clip(lower=before) / bars["low"].clip(upper=before)))


def average_true_range(bars: pd.DataFrame) -> Floats:
    """Wilder's average true range at the close of each bar, (N,), in the unit of the prices; NaN before the 14th bar.

    A bar's true range is its highest less its lowest price, the close before it among them. The first average is the
    mean of 14; each next one moves a fourteenth of the way to the bar's true range (Wilder 1978). NaN where prices are
    so large that there is none.
    """
    before = bars["close"].shift(1).fillna(bars["open"])
    size = (bars["high"].clip(lower=before) - bars["low"].clip(upper=before)).to_numpy(np.float64)
    average = np.full(len(size), np.nan)
    if len(size) >= ATR_BARS:
        begun = np.append((size[:ATR_BARS] / ATR_BARS).sum(), size[ATR_BARS:])
        average[ATR_BARS - 1 :] = pd.Series(begun).ewm(alpha=1 / ATR_BARS, adjust=False).mean()
    average[~np.isfinite(average)] = np.nan
    return average


def _refuse(bars: pd.DataFrame, column: str, wrong: Bools, rule: str) -> None:
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BarError(f"row {bars.index[at]}, column '{column}': {bars[column].iloc[at]}; {rule}")
