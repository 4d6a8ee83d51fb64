"""What trades gained from one instant to the next, those marked to market that were open in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.trades.net_pnl import gross_pnl
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

STILL_OPEN = int(np.iinfo(np.int64).max)
"""The exit of a trade that has none."""


@dataclass(frozen=True)
class HeldTrades:
    """Trades as columns, in any order: what their value at an instant rests on.

    `bot`, `ticker`: codes from 0. `entry`, `exit`: microseconds since 1970 UTC, STILL_OPEN without an exit. `notional`,
    `quantity`, `multiplier`, `inverse`, `long`, `entry_price`: as `gross_pnl` takes them. `entry_fee`: 0 where only the
    sum of the fees is known. `pnl`: net, NaN of open trades.
    """

    bot: Ints
    ticker: Ints
    entry: Ints
    exit: Ints
    notional: Floats
    quantity: Floats
    multiplier: Floats
    inverse: Bools
    long: Bools
    entry_price: Floats
    entry_fee: Floats
    pnl: Floats


@dataclass(frozen=True)
class MarkedPnl:
    """pnl: intervals x bots, in quote currency.

    marks, unmarked: how often a trade was open at an instant, and how often its ticker had no price by then: what it
    gained counts where it closed.
    """

    pnl: Floats
    marks: int
    unmarked: int


def marked_pnl(trades: HeldTrades, instants: Ints, closes: Floats, bots: int) -> MarkedPnl:
    """What each bot gained from each of the ascending `instants` to the next: by closed trades, and by the change of
    what open ones are worth.

    An interval is half-open: who exits at an instant gains in the interval that begins there, and was still open at it.
    A trade is worth its gross pnl at the close, less the fee that was paid at entry; what it cost to get out, and
    funding, count where it closed. So the intervals of a trade sum to its net pnl.

    Parameters
    ----------
    closes : ndarray, shape (instants, tickers)
        The last price of each ticker that was known at each instant; NaN where there was none yet.

    Examples
    --------
    Long 1,000 at 100, marked at 110 and 105, sold at 120 less 3 of fees:

    >>> one = np.ones(1)
    >>> trade = HeldTrades(
    ...     np.array([0]), np.array([0]), np.array([5]), np.array([25]), 1000 * one, np.nan * one, one, one < 0,
    ...     one > 0, 100 * one, 0 * one, 197 * one)
    >>> closes = np.array([[90.0], [110.0], [105.0], [120.0]])
    >>> marked_pnl(trade, np.array([0, 10, 20, 30]), closes, 1).pnl.ravel().round(9).tolist()
    [100.0, -50.0, 147.0]
    """
    intervals = len(instants) - 1
    first = np.searchsorted(instants, trades.entry, side="right")
    after = np.searchsorted(instants, trades.exit, side="right")  # open at an instant that is its exit
    count = np.maximum(after - first, 0)
    row = np.repeat(np.arange(len(trades.bot)), count)
    at = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - first, count)
    value = _value(trades, row, closes[at, trades.ticker[row]])
    unmarked = np.isnan(value)
    value = np.where(unmarked, 0.0, value)
    closed = ~np.isnan(trades.pnl) & (after > 0) & (after <= intervals)
    total = np.zeros(intervals * bots)
    for interval, bot, amount in (
        (after[closed] - 1, trades.bot[closed], trades.pnl[closed]),
        (at - 1, trades.bot[row], value),
        (at, trades.bot[row], -value),
    ):
        inside = (interval >= 0) & (interval < intervals)
        total += np.bincount(interval[inside] * bots + bot[inside], amount[inside], minlength=len(total))
    return MarkedPnl(total.reshape(intervals, bots), len(row), int(unmarked.sum()))


def _value(trades: HeldTrades, row: Ints, price: Floats) -> Floats:
    """What the trades of those rows are worth at a price; NaN without one."""
    gross = gross_pnl(
        trades.notional[row], trades.quantity[row], trades.multiplier[row], trades.inverse[row], trades.long[row],
        trades.entry_price[row], price,
    )  # fmt: skip
    return gross - trades.entry_fee[row]
