"""The net pnl of a trade: the rule from which the database computes it too (SQL function `net_pnl`)."""

import numpy as np
from numpy.typing import NDArray

from knowdefeat_pipeline.core.units import Bools, Floats


def gross_pnl(
    notional: Floats,
    quantity: Floats,
    contract_multiplier: Floats,
    inverse: Bools,
    direction: NDArray[np.object_],
    entry_price: Floats,
    exit_price: Floats,
) -> Floats:
    """Pnl before fees and funding, in the currency that the trade settles in.

    Linear: `notional * side * (exit - entry) / entry`. Inverse (settles in the asset):
    `quantity * contract_multiplier * side * (1 / entry - 1 / exit)`. side: +1 for LONG, else -1. Arrays of one length; NaN where an input is NaN, and not
    finite where they are too large.

    >>> one = np.ones(1)
    >>> long = np.array(["LONG"], object)
    >>> gross_pnl(np.nan * one, 10_000 * one, one, one > 0, long, 50_000 * one, 60_000 * one).round(6)
    array([0.033333])
    """
    side = np.where(direction == "LONG", 1.0, -1.0)
    with np.errstate(all="ignore"):
        linear = notional * side * (exit_price - entry_price) / entry_price
        if not inverse.any():
            return linear
        gross: Floats = np.where(
            inverse, quantity * contract_multiplier * side * (1 / entry_price - 1 / exit_price), linear
        )
    return gross


def net_pnl(gross: Floats, fees: Floats, funding: Floats) -> Floats:
    """`gross - fees + funding`, a cost being positive and funding that was received too. NaN where an input is NaN.

    The order of the operations is that of the database, so both arrive at the same bits.
    """
    with np.errstate(all="ignore"):
        net: Floats = gross - fees + funding
    return net


def notional_of(quantity: Floats, contract_multiplier: Floats, entry_price: Floats, inverse: Bools) -> Floats:
    """The position's size at entry in the currency that it settles in: `quantity * contract_multiplier * entry_price`,
    of an inverse contract `quantity * contract_multiplier / entry_price`."""
    with np.errstate(all="ignore"):
        size: Floats = np.where(
            inverse, quantity * contract_multiplier / entry_price, quantity * contract_multiplier * entry_price
        )
    return size
