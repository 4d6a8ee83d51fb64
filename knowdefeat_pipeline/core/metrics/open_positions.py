"""Open positions: what they have gained, and how deep a bot is below its peak with them.

They stand beside the figures of closed trades and are no part of the variables. The database's functions of these names
are the same, and compute what is stored: see `positions_at` in the migrations for which positions are open at an as_of
and by which price each is marked.
"""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.units import Floats


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
