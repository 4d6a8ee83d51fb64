"""The order of wins by whole days: every order counted, and the runs test where each trade has a day of its own."""

from itertools import pairwise, permutations
from math import erfc, sqrt
from statistics import mean, pvariance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics import order
from knowdefeat_pipeline.core.metrics.order import order_p_value
from knowdefeat_pipeline.core.metrics.streaks import streakiness_p_value

DAY = 86_400_000_000
SIGNS = st.lists(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=4), min_size=2, max_size=6)


def runs(days: list[list[float]]) -> int:
    signs = [sign for day in days for sign in day if sign]
    return 1 + sum(a != b for a, b in pairwise(signs))


def p_of(days: list[list[float]]) -> float:
    pnl = np.array([sign for day in days for sign in day])
    exit_ = np.repeat(np.arange(len(days)), [len(day) for day in days]) * DAY
    (p,) = order_p_value(pnl, exit_, np.array([0]), np.array([0]), np.array([len(pnl)])).tolist()
    return p


@given(SIGNS)
def test_mean_and_variance_are_those_of_all_orders(days: list[list[float]]) -> None:
    days = [day for day in days if any(day)]
    if len(days) < 2:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "RUNS_TEST_MIN_TRADES", 0)
        patch.setattr(order, "ORDER_MIN_DAYS", 2)
        found = p_of(days)
    counts = [runs(list(order)) for order in permutations(days)]
    variance = pvariance(counts)
    if variance == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(erfc(abs(runs(days) - mean(counts)) / sqrt(2 * variance)), abs=1e-9)


@given(st.lists(st.sampled_from([-1.0, 1.0]), min_size=20, max_size=60))
def test_with_a_trade_a_day_it_is_the_runs_test(signs: list[float]) -> None:
    pnl, low, high = np.array(signs), np.array([0]), np.array([len(signs)])
    expected = streakiness_p_value(pnl, low, high)[0]
    if np.isnan(expected):
        return
    assert p_of([[sign] for sign in signs]) == pytest.approx(expected, abs=1e-9)


def test_windows_cut_days_and_leave_other_series_alone() -> None:
    rng = np.random.default_rng(5)
    pnl, day = rng.choice([-1.0, 0.0, 1.0], 300), np.sort(rng.integers(0, 40, 300))
    start, exit_ = np.array([0, 300]), np.tile(day * DAY, 2)
    low, high = np.array([0, 17, 305, 330]), np.array([300, 211, 600, 590])
    found = order_p_value(np.tile(pnl, 2), exit_, start, low, high)
    for number, (first, stop) in enumerate(zip(low % 300, (high - 1) % 300 + 1, strict=True)):
        alone = order_p_value(
            pnl[first:stop], day[first:stop] * DAY, np.array([0]), np.array([0]), np.array([stop - first])
        )
        assert found[number] == pytest.approx(alone[0], rel=1e-12)


def test_a_daily_factor_is_no_order() -> None:
    """Where all trades of a day share its luck, the runs test sees an order and this one does not."""
    rng = np.random.default_rng(7)
    small = {"runs": 0, "days": 0}
    for _ in range(200):
        luck = np.repeat(rng.choice([-1.0, 1.0], 30), 8)
        pnl = np.where(rng.random(240) < 0.7, luck, rng.choice([-1.0, 1.0], 240))
        low, high = np.array([0]), np.array([240])
        small["runs"] += streakiness_p_value(pnl, low, high)[0] < 0.05
        small["days"] += p_of(pnl.reshape(30, 8).tolist()) < 0.05
    assert small["runs"] > 190
    assert 2 <= small["days"] <= 20  # 10 are expected of chance


def test_too_little_to_say() -> None:
    assert np.isnan(p_of([[1.0, -1.0]] * 9 + [[1.0]]))  # 19 trades
    assert np.isnan(p_of([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]] * 4))  # 8 days
    assert np.isnan(p_of([[1.0, 1.0]] * 12))
    assert np.isnan(p_of([[0.0, 0.0]] * 12))
