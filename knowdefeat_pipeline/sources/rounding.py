"""How finely the numbers of a file are written, by which its figures agree with others or do not."""

import numpy as np

from knowdefeat_pipeline.core.units import Floats, Ints

MOST = 0.99
"""The share of the numbers that tells."""
DECIMALS = 12
"""From here on numbers are as programs compute them."""


def half_of_last_decimal(values: Floats) -> float:
    """Half of the last decimal that numbers are written with, in all but one of a hundred; 0 where none tells. NaN says
    nothing.

    >>> half_of_last_decimal(np.array([1.25, 3.5])), half_of_last_decimal(np.array([2.0, 40.0]))
    (0.005001, 0.5001)
    """
    given = values[np.isfinite(values)]
    for digits in range(DECIMALS if len(given) else 0):
        if np.mean(np.abs(np.round(given, digits) - given) <= 1e-12 * np.abs(given)) >= MOST:
            return float(f"{0.5001 * 10.0**-digits:.5g}")
    return 0.0


def decimals(values: Floats) -> Ints:
    """How many decimals each number needs, 12 at most; 0 of NaN.

    >>> decimals(np.array([0.01234, 2.50, 100.0, np.nan])).tolist()
    [5, 1, 0, 0]
    """
    given = np.nan_to_num(values)
    out = np.full(len(given), DECIMALS)
    for digits in reversed(range(DECIMALS)):
        out[np.abs(np.round(given, digits) - given) <= 1e-12 * np.abs(given)] = digits
    return out
