"""Open positions: what they have gained, and how deep a bot is below its peak with them.

They stand beside the figures of closed trades and are no part of the variables. The database's functions of these names
are the same, and compute what is stored: see `positions_at` in the migrations for which positions are open at an as_of
and by which price each is marked.
"""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.units import Bools, Floats


def open_pnl(long: Bools, notional: Floats, entry_price: Floats, price: Floats) -> Floats:
    """What positions have gained at a price, before fees: these count once the position is closed.

    Parameters
    ----------
    long : ndarray of bool
        Whether bought rather than sold short.
    notional, entry_price, price : ndarray
        Size at entry in quote currency, and prices, all above 0; NaN where unknown.

    Returns
    -------
    ndarray
        In quote currency; NaN where size or price is unknown.

    Examples
    --------
    >>> long, hundred = np.array([True, False]), np.array([100.0, 100.0])
    >>> open_pnl(long, hundred, hundred, np.array([60.0, 60.0])).tolist()
    [-40.0, 40.0]
    """
    return notional * np.where(long, 1, -1) * (price - entry_price) / entry_price


def max_drawdown_with_open(max_drawdown: Floats, below_peak: Floats, peak_equity: Floats, open_pnl: Floats) -> Floats:
    """The deepest fall of equity below its peak, where equity ends with the gain or loss of open positions.

    Parameters
    ----------
    max_drawdown : ndarray
        Of realised equity, in percent; NaN without closed trades.
    below_peak, peak_equity : ndarray
        How far realised equity is below its peak at the end, in currency, and that peak.
    open_pnl : ndarray
        In currency; NaN where no position is open or none could be marked.

    Returns
    -------
    ndarray
        In percent of the peak, from 0 on; NaN without closed trades and without marked open ones.

    Examples
    --------
    >>> below, peak = np.array([10.0, 10.0]), np.array([1000.0, 1000.0])
    >>> max_drawdown_with_open(np.array([3.0, 3.0]), below, peak, np.array([-40.0, np.nan])).tolist()
    [5.0, 3.0]
    """
    deep = 100 * (np.maximum(below_peak - open_pnl, 0.0) / peak_equity)
    return np.fmax(max_drawdown, deep)
