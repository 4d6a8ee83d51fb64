"""The net pnl of a trade: the rule from which the database computes it too (SQL function `net_pnl`).

All arrays have one length; the order of the operations is that of the database, so both arrive at the same bits.
"""

import numpy as np

from knowdefeat_pipeline.core.units import Bools, Floats


def gross_pnl(
    notional: Floats,
    quantity: Floats,
    contract_multiplier: Floats,
    inverse: Bools,
    long: Bools,
    entry_price: Floats,
    exit_price: Floats,
) -> Floats:
    """Pnl before fees and funding, in the currency that the trade settles in.

    Linear: `notional * side * (exit - entry) / entry`. Inverse (settles in the asset):
    `quantity * contract_multiplier * side * (1 / entry - 1 / exit)`. side: +1 where `long`, else -1. NaN where an input
    is NaN, and not finite where they are too large.

    >>> one = np.ones(1)
    >>> gross_pnl(np.nan * one, 10_000 * one, one, one > 0, one > 0, 50_000 * one, 60_000 * one).round(6)
    array([0.033333])
    """
    side = np.where(long, 1.0, -1.0)
    with np.errstate(all="ignore"):
        linear = notional * side * (exit_price - entry_price) / entry_price
        if not inverse.any():
            return linear
        settled = quantity * contract_multiplier * side * (1 / entry_price - 1 / exit_price)
    gross: Floats = np.where(inverse, settled, linear)
    return gross


def net_pnl(gross: Floats, fees: Floats, funding: Floats) -> Floats:
    """`gross - fees + funding`, a cost being positive and funding that was received too. NaN where an input is NaN.

    >>> net_pnl(np.array([10.0]), np.array([6.0]), np.array([-9.0]))
    array([-5.])
    """
    with np.errstate(all="ignore"):
        net: Floats = gross - fees + funding
    return net


def all_fees(fees: Floats, entry_fee: Floats, exit_fee: Floats) -> Floats:
    """The sum of what the ends cost where either is given, else `fees`, else 0. NaN: not given.

    >>> all_fees(np.array([np.nan, 3, 3]), np.array([1, 1, np.nan]), np.array([2, np.nan, np.nan]))
    array([3., 1., 3.])
    """
    ends = np.where(np.isnan(entry_fee), exit_fee, np.where(np.isnan(exit_fee), entry_fee, entry_fee + exit_fee))
    given = np.where(np.isnan(ends), fees, ends)
    total: Floats = np.where(np.isnan(given), 0.0, given)
    return total


def notional_of(quantity: Floats, contract_multiplier: Floats, entry_price: Floats, inverse: Bools) -> Floats:
    """The position's size at entry in the currency that it settles in: `quantity * contract_multiplier * entry_price`,
    of an inverse contract `quantity * contract_multiplier / entry_price`. NaN where an input is NaN.

    >>> one = np.ones(1)
    >>> notional_of(2 * one, 50 * one, 5800 * one, one < 0)
    array([580000.])
    """
    with np.errstate(all="ignore"):
        units = quantity * contract_multiplier
        size: Floats = np.where(inverse, units / entry_price, units * entry_price)
    return size


def quantity_of(notional: Floats, contract_multiplier: Floats, entry_price: Floats) -> Floats:
    """The contracts of an inverse position of this size: the reverse of `notional_of`. NaN where an input is NaN."""
    with np.errstate(all="ignore"):
        quantity: Floats = notional * entry_price / contract_multiplier
    return quantity


SAME_SIZE = 1e-6
"""What two statements of one size may differ by, as a share of it."""


def sizes_agree(
    notional: Floats, quantity: Floats, contract_multiplier: Floats, entry_price: Floats, inverse: Bools
) -> Bools:
    """Whether notional and quantity tell of one size, to a millionth of it; True where one of them is NaN. The
    database's trigger `trades_sizes_agree` is the same.

    >>> one = np.ones(1)
    >>> sizes_agree(10_000 * one, np.array([50.0]), one, 200 * one, one < 0)
    array([ True])
    """
    with np.errstate(all="ignore"):
        off = np.abs(notional - notional_of(quantity, contract_multiplier, entry_price, inverse))
        agree: Bools = ~(off > SAME_SIZE * np.abs(notional))
    return agree
