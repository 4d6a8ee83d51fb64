"""The net pnl by hand, and of kinds of contracts as their exchanges define it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core.trades.net_pnl import all_fees, gross_pnl, net_pnl, notional_of, quantity_of

NAN = float("nan")


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_linear_by_hand() -> None:
    # 10,000 at 200 are 50 units; 10 up is 500, less 3 of fees. Short, the same move costs 500 and the fees.
    size, ones = array(1e4, 1e4, 1e4, NAN), np.ones(4)
    long = np.array([True, False, True, True])
    leave = array(210.0, 210.0, 200.0, 210.0)
    gross = gross_pnl(size, NAN * ones, ones, ones < 0, long, 200 * ones, leave)
    np.testing.assert_array_equal(gross, [500.0, -500.0, 0.0, NAN])
    np.testing.assert_array_equal(net_pnl(gross, 3 * ones, array(0, 1, -1, 0)), [497.0, -502.0, -4.0, NAN])


def test_inverse_by_hand() -> None:
    # 100 contracts of 100 dollars buy 0.2 coins at 50,000 and 0.25 at 40,000: a short gains the difference.
    ones = np.ones(2)
    long = np.array([True, False])
    gross = gross_pnl(NAN * ones, 100 * ones, 100 * ones, ones > 0, long, 50_000 * ones, 40_000 * ones)
    assert gross == pytest.approx([-0.05, 0.05], rel=1e-12)


def test_a_size_follows_from_units_and_units_from_a_size() -> None:
    quantity, multiplier, entry = array(2, 100), array(50, 100), array(5800, 50_000)
    inverse = np.array([False, True])
    notional = notional_of(quantity, multiplier, entry, inverse)
    assert notional.tolist() == [580_000.0, 0.2]
    assert quantity_of(notional, multiplier, entry)[1] == 100.0


positive = st.floats(1e-3, 1e6)


@given(positive, positive, positive, st.booleans(), st.booleans())
def test_what_a_long_gains_a_short_loses(size: float, entry: float, leave: float, inverse: bool, long: bool) -> None:
    def gross(side: bool) -> float:
        kind = np.array([inverse])
        found = gross_pnl(array(size), array(size), array(1), kind, np.array([side]), array(entry), array(leave))
        return float(found[0])

    assert gross(long) == -gross(not long)


def test_fees_are_those_of_the_ends_or_their_sum() -> None:
    fees, entry, leave = array(9, 9, 9, 9, NAN), array(1, NAN, 1, NAN, NAN), array(2, 2, NAN, NAN, NAN)
    assert all_fees(fees, entry, leave).tolist() == [3, 2, 1, 9, 0]
