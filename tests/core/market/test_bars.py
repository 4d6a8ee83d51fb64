"""Bars that are not bars are refused, by row and column."""

import numpy as np
import pandas as pd
import pytest

from knowdefeat_pipeline.core.market.bars import average_true_range, check_bars, true_range
from knowdefeat_pipeline.core.market.timeframes import BarError

BARS = pd.DataFrame(
    {
        "open_time": pd.date_range("2025-01-01", periods=3, freq="h", tz="UTC"),
        "open": [10.0, 11.0, 8.0],
        "high": [12.0, 11.0, 9.0],
        "low": [10.0, 10.0, 8.0],
        "close": [11.0, 10.0, 9.0],
        "volume": [5.0, np.nan, 0.0],
    },
    index=[1, 2, 3],
)


def test_the_true_range_reaches_back_to_the_close_before() -> None:
    check_bars(BARS)
    assert true_range(BARS).to_numpy() == pytest.approx(np.log([12 / 10, 11 / 10, 10 / 8]))


def test_the_average_true_range_by_hand() -> None:
    # Bars of 1 that step up by 3 each: a true range of 1 at first, then of 3.5 from the close before (in the middle).
    low = 100 + 3.0 * np.arange(17)
    bars = pd.DataFrame({"open": low + 0.5, "high": low + 1, "low": low, "close": low + 0.5})
    bars.loc[15, "high"] += 14.0
    found = average_true_range(bars)
    assert np.isnan(found[:13]).all()
    first = (1 + 13 * 3.5) / 14
    second = first + (3.5 - first) / 14
    third = second + (17.5 - second) / 14
    assert found[13:16] == pytest.approx([first, second, third])
    # The last bar reaches down to its own low alone, as the close before is lower: 3.5 once more.
    assert found[16] == pytest.approx(third + (3.5 - third) / 14)
    assert np.isnan(average_true_range(bars[:13])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": [11.0, np.nan, 9.0]}, r"row 2, column 'close': nan; a price is a finite number above 0"),
        ({"open": [0.0, 11.0, 8.0]}, r"row 1, column 'open': 0.0; a price is"),
        ({"low": [10.0, 10.0, -8.0]}, r"row 3, column 'low': -8.0; a price is"),
        ({"high": [12.0, np.inf, 9.0]}, r"row 2, column 'high': inf; a price is"),
        ({"high": [9.5, 11.0, 9.0]}, r"row 1, column 'high': 9.5; high is not below low; swap or correct them"),
        ({"volume": [5.0, 1.0, -1.0]}, r"row 3, column 'volume': -1.0; a volume is not negative; leave it empty"),
        ({"open_time": BARS["open_time"].iloc[[0, 2, 1]].to_numpy()}, r"row 3, column 'open_time': 2025-01-01 01:00.*sort"),
        ({"open_time": BARS["open_time"].iloc[[0, 0, 1]].to_numpy()}, r"row 2, column 'open_time': .*drop repeated"),
        ({"open_time": BARS["open_time"].where([False, True, True])}, r"row 1, column 'open_time': NaT"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(change: dict, message: str) -> None:
    with pytest.raises(BarError, match=message):
        check_bars(BARS.assign(**change))


def test_missing_columns_are_named() -> None:
    with pytest.raises(BarError, match=r"need the columns open_time, open, .*; missing: high, volume"):
        check_bars(BARS.drop(columns=["high", "volume"]))
