"""Realised equity and pnl by the calendar, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.metrics.drawdown import drawdown
from knowdefeat_pipeline.core.units import DAY, ROUNDING, Floats, Ints


@dataclass(frozen=True)
class EquityByDay:
    """One bot's equity, an entry each UTC day from its first exit on.

    day: numbers of days since 1970. pnl: cumulative net pnl at the day's end. fall: how far equity fell below its peak
    at most on that day, as an amount; share: the same in percent of the peak, NaN without a capital.
    """

    day: Ints
    pnl: Floats
    fall: Floats
    share: Floats


def equity_by_day(exit_: Ints, pnl: Floats, capital: float | None) -> EquityByDay:
    """Realised equity day by day, days without an exit included.

    Parameters
    ----------
    exit_ : ndarray of shape (n_trades,)
        Microseconds since 1970 UTC, in the order of the trades.
    pnl : ndarray of shape (n_trades,)
        Net pnl, in currency.
    capital : float or None
        Equity before the first trade, above 0; None where it is not known.

    Returns
    -------
    EquityByDay
        Up to the day of the last exit; empty without trades.

    Examples
    --------
    >>> found = equity_by_day(np.array([1, 2, 2 * DAY]), np.array([10.0, -22.0, 5.0]), 100.0)
    >>> found.pnl.tolist(), found.fall.tolist(), found.share.round(1).tolist()
    ([-12.0, -12.0, -7.0], [22.0, 22.0, 17.0], [20.0, 20.0, 15.5])
    """
    if len(exit_) == 0:
        return EquityByDay(np.empty(0, np.int64), *(np.empty(0) for _ in range(3)))
    at = exit_ // DAY
    days = np.arange(at[0], at[-1] + 1)
    last = np.searchsorted(at, days, side="right") - 1
    traded, first = np.unique(at, return_index=True)
    falls = drawdown(pnl[None], np.array([capital or 1.0]), ROUNDING * np.abs(pnl).sum())
    fall, share = falls.amount[0][last], falls.share[0][last]
    fall[traded - at[0]] = np.maximum.reduceat(falls.amount[0], first)
    share[traded - at[0]] = np.maximum.reduceat(falls.share[0], first)
    return EquityByDay(days, np.cumsum(pnl)[last], fall, 100 * share if capital else np.full(len(days), np.nan))


def pnl_by_month(exit_: Ints, pnl: Floats) -> dict[tuple[int, int], float]:
    """The net pnl of each UTC month that has an exit, by (year, month).

    >>> pnl_by_month(np.array([0, 1, 31 * DAY]), np.array([2.0, 3.0, -1.0]))
    {(1970, 1): 5.0, (1970, 2): -1.0}
    """
    months, code = np.unique(exit_.astype("M8[us]").astype("M8[M]").astype(np.int64), return_inverse=True)
    sums = np.bincount(code, pnl, len(months))
    return {
        (1970 + month // 12, month % 12 + 1): total for month, total in zip(months.tolist(), sums.tolist(), strict=True)
    }
