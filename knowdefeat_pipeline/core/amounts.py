"""Amounts that can be computed with: their squares, sums and quotients are numbers too.

No market comes near the bounds: tokens divide into 18 decimals, the cheapest ones cost 1e-9 dollars or 1e-14 bitcoin,
and 1e15 dong or rupiah are tens of billions of dollars. The same as in sql/migrations/0018_possible_amounts.sql.
"""

import numpy as np

from knowdefeat_pipeline.core.units import Bools, Floats

LEAST_SIZE = 1e-18
"""The least price, size of a position and capital."""

LEAST_MONEY = 1e-100
"""The least size of fees and pnl that are not 0: what rounding leaves of 0 is larger."""

BOUND = 1e15
"""What every amount of money and every price stays below in size."""

UNITS_BOUND = 1e30
"""What volumes of bars and sizes of order books stay below: there are some 1e17 units of the cheapest tokens."""

POSSIBLE = (
    f"prices and sizes reach from {LEAST_SIZE:g} to below {BOUND:g}, "
    f"other money is 0 or from {LEAST_MONEY:g} to below {BOUND:g} in size"
)


def is_impossible(amounts: Floats, least: float, bound: float = BOUND) -> Bools:
    """Where an amount is neither 0 nor from `least` to below `bound` in size; NaN (missing) is possible."""
    size = np.abs(amounts)
    impossible: Bools = ((size > 0) & (size < least)) | (size >= bound)
    return impossible
