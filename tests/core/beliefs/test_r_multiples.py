"""Standardised results: measured by what was known before, in units that money cannot move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.beliefs.r_multiples import MEMORY, WARM_UP, Volatility, standardise


def test_the_first_trades_by_hand() -> None:
    result, _ = standardise(np.array([-50.0, 100.0]), np.array(["a", "a"]), Volatility.unknown())
    # The first is measured by itself; the second by both: mean square (.99 · 50² + 100²) / 1.99.
    assert result.tolist() == pytest.approx([-1.0, 100 / np.sqrt((0.99 * 2500 + 10_000) / 1.99)])


def test_after_warming_up_a_trade_has_no_part_in_its_measure() -> None:
    pnl = np.array([3.0, -4.0] * (WARM_UP // 2) + [1000.0, 0.0])
    result, _ = standardise(pnl, np.full(len(pnl), 7), Volatility.unknown())
    weight = MEMORY ** np.arange(WARM_UP)[::-1]
    assert result[WARM_UP] == pytest.approx(1000 / np.sqrt(weight @ pnl[:WARM_UP] ** 2 / weight.sum()))
    assert result[-1] == 0


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60))
def test_like_a_plain_loop_and_the_same_bits_when_cut(seed: int, count: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    pnl, owner = rng.standard_t(3, count), rng.choice([3, 11, 5], count)
    result, known = standardise(pnl, owner, Volatility.unknown())
    for at in range(count):
        earlier = pnl[:at][owner[:at] == owner[at]]
        seen = np.append(earlier, pnl[at]) if len(earlier) < WARM_UP else earlier
        weight = MEMORY ** np.arange(len(seen))[::-1]
        assert result[at] == pytest.approx(pnl[at] / np.sqrt(weight @ seen**2 / weight.sum()))
    first, state = standardise(pnl[:cut], owner[:cut], Volatility.unknown())
    second, state = standardise(pnl[cut:], owner[cut:], state)
    assert np.append(first, second).tobytes() == result.tobytes()
    assert state.sums.tobytes() == known.sums.tobytes()
    assert state.owners == known.owners


def test_money_moves_no_result() -> None:
    rng = np.random.default_rng(1)
    pnl, owner = rng.standard_t(3, 300), rng.integers(3, size=300)
    result, _ = standardise(pnl, owner, Volatility.unknown())
    scaled, _ = standardise(pnl * np.array([1024.0, 2**-30, 1.0])[owner], owner, Volatility.unknown())
    assert scaled.tobytes() == result.tobytes()
    in_cents, _ = standardise(pnl * 100, owner, Volatility.unknown())
    np.testing.assert_allclose(in_cents, result, rtol=1e-12)


def test_trades_that_made_nothing_are_zero_and_pnl_is_finite() -> None:
    result, _ = standardise(np.zeros(20), np.zeros(20, int), Volatility.unknown())
    assert result.tolist() == [0.0] * 20
    with pytest.raises(ValueError, match="trade 1 has no finite pnl"):
        standardise(np.array([1.0, np.nan]), np.zeros(2, int), Volatility.unknown())
