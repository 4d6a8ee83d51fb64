"""Whether wins come in another order than chance would put them in, the days being what chance shuffles."""

from __future__ import annotations

import numpy as np

from knowdefeat_pipeline.core.metrics.streaks import RUNS_TEST_MIN_TRADES, two_sided
from knowdefeat_pipeline.core.units import Array, Floats, Ints, day_of

ORDER_MIN_DAYS = 10
_STARTS_WON, _ENDS_WON = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
"""The four kinds of days: whether the first and the last decided trade won."""


def order_p_value(pnl: Floats, exit_: Ints, start: Ints, low: Ints, high: Ints) -> Floats:
    """Two-sided p of the number of runs of wins and losses when whole UTC days are put in another order.

    What happens within a day stays: bots whose trades of one day share its luck have few runs, and a test that shuffles
    trades would call that an order. Mean and variance over all orders of the days are exact, the p is that of a normal.
    With one trade a day it is the Wald–Wolfowitz test. It tests the order of wins, not skill.

    Parameters
    ----------
    pnl : ndarray of shape (n_trades,)
        Breakeven trades are left out.
    exit_ : ndarray of int, shape (n_trades,)
        In microseconds; ascending within a series.
    start : ndarray of int
        Where each series begins.
    low, high : ndarray of int, shape (n_windows,)
        Windows [low, high) of trades, each within a series.

    Returns
    -------
    ndarray of shape (n_windows,)
        A probability; NaN under 20 trades, under 10 days with a win or a loss, or where every order has as many runs.

    Examples
    --------
    Twelve days of two wins and two losses each, in the same order: always as many runs, so that nothing can be said;
    with six days of wins, then six of losses, there are two where shuffled days have seven on average:

    >>> day = np.repeat(np.arange(12), 4) * 86_400_000_000
    >>> start, low, high = np.array([0]), np.array([0]), np.array([48])
    >>> order_p_value(np.tile([1.0, 1, -1, -1], 12), day, start, low, high).tolist()
    [nan]
    >>> order_p_value(np.repeat([1.0, -1.0], 24), day, start, low, high).round(6).tolist()
    [0.002465]
    """
    decided = np.flatnonzero(pnl)
    won = pnl[decided] > 0
    rank = np.concatenate([[0], np.cumsum(pnl != 0)])
    series = np.searchsorted(start, decided, "right")
    day = day_of(exit_[decided])
    new = (np.diff(day, prepend=day[:1]) != 0) | (np.diff(series, prepend=series[:1]) != 0)
    first, last = rank[low], rank[high] - 1
    some = (high - low >= RUNS_TEST_MIN_TRADES) & (last > first)
    first, last = np.where(some, first, 0), np.where(some, last, 0)
    if len(decided) == 0:
        return np.full(len(low), np.nan)
    kinds, days = _kinds(won, np.cumsum(new), first, last)
    turned = np.concatenate([[0], np.cumsum(new[1:] & (won[1:] != won[:-1]))])
    mean, variance = _moments(kinds.astype(np.float64), days.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (turned[last] - turned[first] - mean) / np.sqrt(variance)
        known = some & (days >= ORDER_MIN_DAYS) & (variance > 1e-9)
        return np.where(known, two_sided(z), np.nan)


def _kinds(won: Array, day: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Of each window of decided trades: how many of its days are of each kind (4, windows), and how many there are.

    A window may begin and end within a day: there the day's part inside counts.
    """
    begin = np.flatnonzero(np.diff(day, prepend=-1))
    end = np.append(begin[1:], len(day)) - 1
    kind = 2 * won[begin] + won[end]
    before = np.concatenate([np.zeros((4, 1), np.int64), np.cumsum(kind == np.arange(4)[:, None], axis=1)], axis=1)
    one, other = day[first], day[last]
    counts = before[:, np.maximum(other, one + 1)] - before[:, one + 1]
    cut = (2 * won[first] + won[end[one]], 2 * won[begin[other]] + won[last])
    for of in cut:
        counts[of, np.arange(len(first))] += 1
    return counts, other - one + 1


def _moments(kinds: Floats, days: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the number of days that begin otherwise than the day before them ended, over all orders.

    c(i, j) is 1 where day j after day i is such a turn; the sums run over pairs of different days.
    """
    starts, ends = kinds[_STARTS_WON == 1].sum(axis=0), kinds[_ENDS_WON == 1].sum(axis=0)
    itself = (_STARTS_WON != _ENDS_WON)[:, None]
    after = np.where(_ENDS_WON[:, None] == 1, days - starts, starts) - itself  # Σ_j c(i, j), of each kind of i
    ahead = np.where(_STARTS_WON[:, None] == 1, days - ends, ends) - itself  # Σ_i c(i, j), of each kind of j
    pairs = (kinds * after).sum(axis=0)
    both_ways = 2 * kinds[0] * kinds[3] + kinds[1] * (kinds[1] - 1) + kinds[2] * (kinds[2] - 1)
    chains = (kinds * after * ahead).sum(axis=0) - both_ways  # Σ c(i, j) c(j, k)
    sharing = (kinds * (after**2 + ahead**2)).sum(axis=0) - pairs + 2 * chains + both_ways
    apart = pairs**2 - sharing  # Σ c(i, j) c(k, l)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = pairs / days
        return mean, mean + (2 * chains + apart) / (days * (days - 1)) - mean**2
