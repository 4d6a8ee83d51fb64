"""Runs of wins and losses: how long, how often, and whether they are more than luck."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.schema.variables import STREAK_LENGTHS
from knowdefeat_pipeline.core.trades.reductions import reduce_windows
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

RUNS_TEST_MIN_TRADES = 20

# One call per window; importing scipy's, for all of them at once, takes a run longer than its own work.
_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True)
class Runs:
    """Runs of trades of one kind in all series: `length` (n + 1,), per trade how many in a row end at it, and `end`
    (n + 1,), the index after the run that it is in. The last entry is of no trade, so that every bound is an index."""

    length: Ints
    end: Ints

    @classmethod
    def of(cls, flags: Bools, start: Ints) -> Runs:
        """The runs of `flags` (n,) within series that begin at each `start`.

        >>> Runs.of(np.array([True, True, False, True]), np.array([0])).length.tolist()
        [1, 2, 0, 1, 0]
        """
        length = run_lengths(np.append(flags, False), start)
        return cls(length, _run_end(length))


@dataclass(frozen=True)
class StreakFigures:
    """One entry per window; `hits` and `runs` have the shape (windows, lengths 2..7)."""

    hits: Ints
    runs: Ints
    longest_win: Ints
    longest_loss: Ints
    current: Ints
    p_value: Floats


def streak_figures(pnl: Floats, start: Ints, low: Ints, high: Ints) -> StreakFigures:
    """All figures of the windows [low, high) over series that begin at `start`.

    A run is cut where its window begins. A breakeven trade (pnl 0) ends both kinds of run.
    """
    wins, losses = Runs.of(pnl > 0, start), Runs.of(pnl < 0, start)
    hits, runs = win_streaks(wins, low, high)
    return StreakFigures(
        hits=hits,
        runs=runs,
        longest_win=longest_streak(wins, low, high),
        longest_loss=longest_streak(losses, low, high),
        current=current_streak(wins, losses, low, high),
        p_value=streakiness_p_value(pnl, low, high),
    )


def run_lengths(flags: Bools, start: Ints) -> Ints:
    """Per trade, how many of `flags` in a row end at it, within its series; a series begins at each `start`."""
    index = np.arange(len(flags))
    broken = np.where(flags, -1, index)
    broken[start] = np.maximum(broken[start], start - 1 + ~flags[start])
    return index - np.maximum.accumulate(broken) if len(flags) else index


def _run_end(run: Ints) -> Ints:
    """Per trade, the index after the run that it is in (its own index where it is in none)."""
    index = np.arange(len(run) + 1)
    ends = np.append((run > 0) & (np.append(run[1:], 0) <= run), True)
    after = np.minimum.accumulate(np.where(ends, index, len(run))[::-1])[::-1][:-1]
    return np.where(run > 0, after + 1, index[:-1])


def win_streaks(wins: Runs, low: Ints, high: Ints, lengths: Sequence[int] = STREAK_LENGTHS) -> tuple[Ints, Ints]:
    """How often wins came in a row: Know-Defeat's count of hits, and the number of runs.

    Parameters
    ----------
    wins : Runs
        Of the trades with pnl > 0.
    low, high : ndarray of int, shape (n_windows,)
        Windows [low, high) of trades; a run is cut where its window begins.
    lengths : sequence of int
        The least lengths k of a run.

    Returns
    -------
    hits : ndarray of int, shape (n_windows, n_lengths)
        Trades at which the current run of wins is at least k: a run of length L adds max(0, L - k + 1).
    runs : ndarray of int, shape (n_windows, n_lengths)
        Maximal runs of at least k wins.

    Examples
    --------
    >>> wins = Runs.of(np.array([3.0, 1.0, 2.0, -1.0, 5.0, 1.0]) > 0, np.array([0]))
    >>> [part.tolist() for part in win_streaks(wins, np.array([0]), np.array([6]), (2, 3))]
    [[[3, 1]], [[2, 1]]]
    """
    after, inside = _cut(wins, low, high)
    hits, runs = [], []
    for length in lengths:
        at_least = np.concatenate([[0], np.cumsum(wins.length >= length)])
        exactly = np.concatenate([[0], np.cumsum(wins.length == length)])
        # Of the cut run only the part inside counts; later runs lie wholly inside.
        hits.append(at_least[high] - at_least[after] + np.maximum(0, inside - length + 1))
        runs.append(exactly[high] - exactly[after] + (inside >= length))
    return np.stack(hits, axis=1), np.stack(runs, axis=1)


def _cut(runs: Runs, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """The run that a window cuts at its beginning: where it ends inside the window and how much of it lies inside."""
    begun = (high > low) & (runs.length[low] > 1)
    ends = np.where(begun, np.minimum(runs.end[low], high), low)
    return ends, ends - low


def longest_streak(runs: Runs, low: Ints, high: Ints) -> Ints:
    """The longest run of each window [low, high); 0 where there is none.

    Parameters
    ----------
    runs : Runs
        Of wins, or of losses.
    low, high : ndarray of int, shape (n_windows,)

    Returns
    -------
    ndarray of int, shape (n_windows,)

    Examples
    --------
    >>> wins = Runs.of(np.array([True, True, True, False, True]), np.array([0]))
    >>> longest_streak(wins, np.array([0, 1, 3]), np.array([5, 5, 4])).tolist()
    [3, 2, 0]
    """
    after, inside = _cut(runs, low, high)
    return np.maximum(reduce_windows(np.maximum, runs.length, after, high, 0), inside)


def current_streak(wins: Runs, losses: Runs, low: Ints, high: Ints) -> Ints:
    """The run that is under way at the end of each window: positive for wins, negative for losses, 0 after a breakeven.

    Parameters
    ----------
    wins, losses : Runs
    low, high : ndarray of int, shape (n_windows,)

    Returns
    -------
    ndarray of int, shape (n_windows,)

    Examples
    --------
    >>> pnl, start = np.array([1.0, -2.0, -3.0]), np.array([0])
    >>> wins, losses = Runs.of(pnl > 0, start), Runs.of(pnl < 0, start)
    >>> current_streak(wins, losses, np.array([0, 2, 0]), np.array([3, 3, 1])).tolist()
    [-2, -1, 1]
    """
    count = high - low
    out: Ints = np.minimum(wins.length[high - 1], count) - np.minimum(losses.length[high - 1], count)
    return out


def streakiness_p_value(pnl: Floats, low: Ints, high: Ints) -> Floats:
    """Two-sided p of the Wald–Wolfowitz runs test over the signs of the non-zero pnl (normal approximation).

    It tests the order of wins and losses, not skill. mean 1 + 2ab/n, variance 2ab(2ab - n)/(n²(n - 1)) for a wins, b
    losses, n = a + b. The same figure as statsmodels' runstest_1samp without continuity correction.

    Parameters
    ----------
    pnl : ndarray of shape (n_trades,)
    low, high : ndarray of int, shape (n_windows,)
        Windows [low, high) of trades.

    Returns
    -------
    ndarray of shape (n_windows,)
        A probability; NaN under 20 trades or when all went one way.

    References
    ----------
    Wald and Wolfowitz, "On a test whether two samples are from the same population", Annals of Mathematical Statistics
    1940.

    Examples
    --------
    >>> pnl = np.tile([1.0, -1.0], 12)  # perfectly alternating: 24 runs where 13 are expected
    >>> streakiness_p_value(pnl, np.array([0, 0]), np.array([24, 19])).round(6).tolist()
    [4e-06, nan]
    """
    sign = np.sign(pnl).astype(np.int8)
    decided = np.flatnonzero(sign)
    rank = np.concatenate([[0], np.cumsum(sign != 0)])
    change = np.concatenate([[0], np.cumsum(np.diff(sign[decided]) != 0), [0]])
    wins = np.concatenate([[0], np.cumsum(sign > 0)])
    first, last = rank[low], rank[high] - 1
    a = (wins[high] - wins[low]).astype(np.float64)
    n = (last - first + 1).astype(np.float64)
    b = n - a
    some = (high - low >= RUNS_TEST_MIN_TRADES) & (a > 0) & (b > 0)
    runs = 1 + change[np.where(some, last, 0)] - change[np.where(some, first, 0)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ab2 = 2 * a * b
        z = (runs - (1 + ab2 / n)) / np.sqrt(ab2 * (ab2 - n) / (n * n * (n - 1)))
        return np.where(some, two_sided(z), np.nan)


def two_sided(z: Floats) -> Floats:
    """How likely a standard normal is as far from 0."""
    p: Floats = _erfc(np.abs(z) / np.sqrt(2)).astype(np.float64)
    return p


def expected_frequency(trades: Ints, win_rate: Floats, lengths: Sequence[int] = STREAK_LENGTHS) -> Floats:
    """Percent of trades expected at a run of at least k wins if trades were independent: 100 · max(0, n-k+1)/n · p^k.

    Parameters
    ----------
    trades : ndarray of int, shape (n_windows,)
    win_rate : ndarray of shape (n_windows,)
        In percent.
    lengths : sequence of int
        The least lengths k of a run.

    Returns
    -------
    ndarray of shape (n_windows, n_lengths)
        In percent; NaN without trades.

    Examples
    --------
    >>> expected_frequency(np.array([10]), np.array([50.0]), (2, 3)).tolist()
    [[22.5, 10.0]]
    """
    n = trades[:, None].astype(np.float64)
    k = np.array(lengths)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 0, 100 * np.maximum(0, n - k + 1) / n * (win_rate[:, None] / 100) ** k, np.nan)
