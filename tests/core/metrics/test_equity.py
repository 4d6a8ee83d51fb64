"""Equity by day and pnl by month against plain loops over the trades."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.equity import equity_by_day, pnl_by_month
from knowdefeat_pipeline.core.units import DAY

TRADES = st.lists(st.tuples(st.integers(-5 * DAY, 400 * DAY), st.integers(-50, 60)), max_size=30).map(sorted)


@given(TRADES, st.sampled_from([None, 1000.0]))
def test_equity_by_day_is_what_a_walk_over_the_trades_gives(
    trades: list[tuple[int, int]], capital: float | None
) -> None:
    found = equity_by_day(
        np.array([time for time, _ in trades], np.int64), np.array([pnl for _, pnl in trades], float), capital
    )
    days = range(trades[0][0] // DAY, trades[-1][0] // DAY + 1) if trades else range(0)
    assert found.day.tolist() == list(days)
    total = peak = deepest = share = 0.0
    start = capital or 1.0
    for at, day in enumerate(days):
        of_day = [pnl for time, pnl in trades if time // DAY == day]
        deepest, share = (0.0, 0.0) if of_day else (peak - total, (peak - total) / (start + peak))
        for pnl in of_day:
            total += pnl
            peak = max(peak, total)
            deepest, share = max(deepest, peak - total), max(share, (peak - total) / (start + peak))
        assert (found.pnl[at], found.fall[at]) == (total, deepest)
        assert found.share[at] == pytest.approx(100 * share if capital else np.nan, nan_ok=True)


@given(TRADES)
def test_months_are_those_of_the_calendar(trades: list[tuple[int, int]]) -> None:
    expected: dict[tuple[int, int], float] = {}
    for time, pnl in trades:
        when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
        expected[when.year, when.month] = expected.get((when.year, when.month), 0.0) + pnl
    assert pnl_by_month(np.array([t for t, _ in trades], np.int64), np.array([p for _, p in trades], float)) == expected
