"""Fading sums against a plain loop, and their bits when a history is cut in two."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.beliefs.decayed_sums import decayed_sums

RATES = np.array([0.5, 0.9, 1.0])


def test_three_items_by_hand() -> None:
    nothing, start = np.zeros((1, 3, 1)), np.zeros(1)
    sums = decayed_sums(
        np.zeros(3, int), np.array([0.0, 1.0, 3.0]), np.array([[1.0], [2.0], [4.0]]), RATES, nothing, start
    )
    assert sums.after[:, 0, 0].tolist() == [1, 2.5, 4.625]
    assert sums.before[:, 0, 0].tolist() == [0, 0.5, 0.625]
    assert sums.previous[:, 0, 0].tolist() == [0, 1, 2.5]
    assert sums.after[:, 2, 0].tolist() == [1, 3, 7]
    assert sums.last[0, :, 0].tolist() == sums.after[2, :, 0].tolist()
    assert sums.clock.tolist() == [3]


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(0, 40))
def test_like_a_plain_loop_and_the_same_bits_when_cut(seed: int, count: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    series, clock = rng.integers(4, size=count), np.cumsum(rng.exponential(2, count))
    values, carried = rng.normal(size=(count, 2)), rng.normal(size=(4, 3, 2))
    whole = decayed_sums(series, clock, values, RATES, carried, np.zeros(4))
    at, last = np.zeros(4), carried.copy()
    for item in range(count):
        k = series[item]
        faded = last[k] * RATES[:, None] ** (clock[item] - at[k])
        np.testing.assert_allclose(whole.before[item], faded, atol=1e-12)
        last[k], at[k] = faded + values[item], clock[item]
        np.testing.assert_allclose(whole.after[item], last[k], atol=1e-12)
    np.testing.assert_allclose(whole.last, last, atol=1e-12)

    first = decayed_sums(series[:cut], clock[:cut], values[:cut], RATES, carried, np.zeros(4))
    second = decayed_sums(series[cut:], clock[cut:], values[cut:], RATES, first.last, first.clock)
    assert second.last.tobytes() == whole.last.tobytes()
    assert second.clock.tobytes() == whole.clock.tobytes()
    assert second.before.tobytes() == whole.before[cut:].tobytes()
