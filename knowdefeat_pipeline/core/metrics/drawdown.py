"""Drawdown: how far realised equity falls below its peak, how often, and for how long.

Equity starts at the capital, which is its first peak. Matrices hold a window a row, padded at the end by trades of 0,
which move nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from knowdefeat_pipeline.core.metrics.figures import ratio
from knowdefeat_pipeline.core.trades.reductions import accumulated
from knowdefeat_pipeline.core.units import NEVER, Bools, Floats, Ints


class Drawdown(NamedTuple):
    """Per trade, (n_windows, n_trades): how far equity is below its peak, that peak, and whether it is below."""

    amount: Floats
    peak: Floats
    below: Bools

    @property
    def share(self) -> Floats:
        """The amount as a share of the peak."""
        return self.amount / self.peak


def drawdown(pnl: Floats, capital: Floats, rounding: Floats | float = 0.0) -> Drawdown:
    """The drawdown after each trade.

    Parameters
    ----------
    pnl : ndarray of shape (n_windows, n_trades)
        Net pnl in order, in currency.
    capital : ndarray of shape (n_windows,)
        Equity before the first trade, above 0.
    rounding : ndarray of shape (n_windows, 1) or float
        Equity within so much of its peak has reached it.

    Returns
    -------
    Drawdown
        `amount` and `peak` in currency, `below`; `share` from 0 on (above 1 where more than everything was lost).

    Examples
    --------
    >>> drawdown(np.array([[10.0, -22.0, 5.0]]), np.array([100.0])).share.round(4).tolist()
    [[0.0, 0.2, 0.1545]]
    """
    equity = accumulated(np.add, pnl)
    peak = accumulated(np.maximum, equity)
    amount = np.subtract(np.maximum(peak, 0.0, out=peak), equity, order="C")
    below = amount > rounding
    amount *= below
    peak += capital[:, None]
    return Drawdown(amount, peak, below)


@dataclass(frozen=True)
class Episodes:
    """Maximal runs of trades below the peak, E in order; `window` (E,) is the row of each, `first` and `last` (E,) its
    trades' columns, `amount` and `share` (E,) how deep it went. `windows` counts the rows."""

    windows: int
    window: Ints
    first: Ints
    last: Ints
    amount: Floats
    share: Floats


def drawdown_episodes(fall: Drawdown) -> Episodes:
    """The drawdown episodes of each window.

    Parameters
    ----------
    fall : Drawdown
        As `drawdown` answers.

    Returns
    -------
    Episodes

    Examples
    --------
    >>> episodes = drawdown_episodes(drawdown(np.array([[10.0, -22.0, 5.0, 20.0, -1.0]]), np.array([100.0])))
    >>> episodes.first.tolist(), episodes.last.tolist(), episodes.amount.tolist()
    ([1, 4], [2, 4], [22.0, 1.0])
    """
    begins, stops = fall.below.copy(), fall.below.copy()
    begins[:, 1:] &= ~fall.below[:, :-1]
    stops[:, :-1] &= ~fall.below[:, 1:]
    starts, ends = np.flatnonzero(begins), np.flatnonzero(stops)
    rows, width = fall.below.shape
    window = starts // max(width, 1)
    first, last = starts - window * width, ends - window * width
    # From one start to the next, what lies between two episodes is 0 and cannot raise the maximum.
    amount = np.maximum.reduceat(fall.amount.ravel(), starts) if len(starts) else np.empty(0)
    return Episodes(rows, window, first, last, amount, amount / fall.peak[window, first])  # one peak, all the while


def max_drawdown(episodes: Episodes) -> Floats:
    """The deepest fall below the peak, in percent of that peak.

    Parameters
    ----------
    episodes : Episodes

    Returns
    -------
    ndarray of shape (n_windows,)
        0 for a window whose equity never fell below its peak.

    Examples
    --------
    >>> fall = drawdown(np.array([[10.0, -22.0], [1.0, 2.0]]), np.array([100.0, 100.0]))
    >>> max_drawdown(drawdown_episodes(fall)).tolist()
    [20.0, 0.0]
    """
    return 100 * _most(episodes, episodes.share)


def max_drawdown_amount(episodes: Episodes) -> Floats:
    """The deepest fall below the peak in currency, (n_windows,); 0 where there was none."""
    return _most(episodes, episodes.amount)


def avg_drawdown(episodes: Episodes) -> Floats:
    """The mean depth of the episodes, in percent of their peaks.

    Parameters
    ----------
    episodes : Episodes

    Returns
    -------
    ndarray of shape (n_windows,)
        0 for a window whose equity never fell below its peak.

    Examples
    --------
    >>> avg_drawdown(drawdown_episodes(drawdown(np.array([[-10.0, 10.0, -30.0]]), np.array([100.0])))).tolist()
    [20.0]
    """
    return 100 * _mean(episodes, episodes.share)


def avg_drawdown_amount(episodes: Episodes) -> Floats:
    """The mean depth of the episodes in currency, (n_windows,); 0 where there was none."""
    return _mean(episodes, episodes.amount)


def _most(episodes: Episodes, depth: Floats) -> Floats:
    most = np.zeros(episodes.windows)
    np.maximum.at(most, episodes.window, depth)
    return most


def _mean(episodes: Episodes, depth: Floats) -> Floats:
    count = np.maximum(np.bincount(episodes.window, minlength=episodes.windows), 1)
    mean: Floats = np.bincount(episodes.window, depth, minlength=episodes.windows) / count
    return mean


def time_below_peak(episodes: Episodes, exit_time: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """How long equity lay below its peak in the episodes that are over, and since when it does now.

    An episode lasts from its first exit to the exit that ends it. Both change with the trades alone; what changes as
    time goes by is left to `time_in_drawdown`.

    Parameters
    ----------
    episodes : Episodes
        Of windows [low, high) laid out from their first trade on.
    exit_time : ndarray of int, shape (n_trades,)
        Of all trades that windows index, in µs.
    low, high : ndarray of int, shape (n_windows,)
        The windows' bounds.

    Returns
    -------
    ended : ndarray of int, shape (n_windows,)
        In µs.
    since : ndarray of int, shape (n_windows,)
        The first exit of the episode that is not over, in µs; NEVER at the peak.

    Examples
    --------
    >>> episodes = drawdown_episodes(drawdown(np.array([[-1.0, 2.0, -1.0]]), np.array([100.0])))
    >>> ended, since = time_below_peak(episodes, np.array([10, 14, 20]), np.array([0]), np.array([3]))
    >>> ended.tolist(), since.tolist()
    ([4], [20])
    """
    window = episodes.window
    begin, after = exit_time[low[window] + episodes.first], low[window] + episodes.last + 1
    lasting = after >= high[window]  # an episode that is not over reaches into the padding
    over = ~lasting
    ended = np.bincount(window[over], exit_time[after[over]] - begin[over], episodes.windows).astype(np.int64)
    since = np.full(episodes.windows, NEVER)
    since[window[lasting]] = begin[lasting]
    return ended, since


def time_in_drawdown(as_of: Ints, first_exit: Ints, ended: Ints, since: Ints) -> Floats:
    """Share of the time since the window's first exit during which equity was below its peak.

    The database's function of this name is the same.

    Parameters
    ----------
    as_of, first_exit : ndarray of int, shape (n_windows,)
        The window's end and its first exit, in µs.
    ended, since : ndarray of int, shape (n_windows,)
        As `time_below_peak` answers: an episode that is not over lasts until `as_of`.

    Returns
    -------
    ndarray of shape (n_windows,)
        In percent; NaN where no time has passed.

    Examples
    --------
    >>> time_in_drawdown(np.array([25, 10]), np.array([10, 10]), np.array([4, 0]), np.array([20, NEVER])).tolist()
    [60.0, nan]
    """
    below = ended + np.where(since == NEVER, 0, as_of - since)
    return 100 * ratio(below, as_of - first_exit)
