"""Runs of wins and losses: how long, how often, and whether they are more than luck."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.schema.variables import STREAK_LENGTHS
from knowdefeat_pipeline.core.trades.reductions import reduce_windows
from knowdefeat_pipeline.core.units import Floats, Ints

RUNS_TEST_MIN_TRADES = 20

# One call per window; importing scipy's, for all of them at once, takes a run longer than its own work.
_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True)
class StreakFigures:
    """One entry per window; `hits` and `runs` have the shape (windows, lengths 2..7)."""

    hits: Ints
    runs: Ints
    longest_win: Ints
    longest_loss: Ints
    current: Ints
    p_value: Floats


def run_lengths(flags: np.ndarray, start: Ints) -> Ints:
    """Per trade, how many of `flags` in a row end at it, within its series; a series begins at each `start`."""
    index = np.arange(len(flags))
    broken = np.where(flags, -1, index)
    broken[start] = np.maximum(broken[start], start - 1 + ~flags[start])
    return index - np.maximum.accumulate(broken) if len(flags) else index


def streak_figures(pnl: Floats, start: Ints, low: Ints, high: Ints) -> StreakFigures:
    """Streaks of the windows [low, high) over series that begin at `start`.

    A run is cut where its window begins. A breakeven trade (pnl 0) ends both kinds of run.
    """
    pnl = np.append(pnl, 0.0)  # a breakeven that no window holds: so every bound is an index
    wins, losses = run_lengths(pnl > 0, start), run_lengths(pnl < 0, start)
    win_end, loss_end = _run_end(wins), _run_end(losses)
    hits, runs = _hits_and_runs(wins, win_end, low, high)
    count = high - low
    current = np.minimum(wins[high - 1], count) - np.minimum(losses[high - 1], count)
    return StreakFigures(
        hits=hits,
        runs=runs,
        longest_win=_longest(wins, win_end, low, high),
        longest_loss=_longest(losses, loss_end, low, high),
        current=current,
        p_value=_runs_test(pnl, low, high),
    )


def _run_end(run: Ints) -> Ints:
    """Per trade, the index after the run that it is in (its own index where it is in none)."""
    index = np.arange(len(run) + 1)
    ends = np.append((run > 0) & (np.append(run[1:], 0) <= run), True)
    after = np.minimum.accumulate(np.where(ends, index, len(run))[::-1])[::-1][:-1]
    return np.where(run > 0, after + 1, index[:-1])


def _cut(run: Ints, end: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """The run that a window cuts at its beginning: where it ends inside the window and how much of it lies inside."""
    begun = (high > low) & (run[low] > 1)
    ends = np.where(begun, np.minimum(end[low], high), low)
    return ends, ends - low


def _hits_and_runs(run: Ints, end: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    after, inside = _cut(run, end, low, high)
    hits, runs = [], []
    for length in STREAK_LENGTHS:
        at_least = np.concatenate([[0], np.cumsum(run >= length)])
        exactly = np.concatenate([[0], np.cumsum(run == length)])
        # Of the cut run only the part inside counts; later runs lie wholly inside.
        hits.append(at_least[high] - at_least[after] + np.maximum(0, inside - length + 1))
        runs.append(exactly[high] - exactly[after] + (inside >= length))
    return np.stack(hits, axis=1), np.stack(runs, axis=1)


def _longest(run: Ints, end: Ints, low: Ints, high: Ints) -> Ints:
    after, inside = _cut(run, end, low, high)
    return np.maximum(reduce_windows(np.maximum, run, after, high, 0), inside)


def _runs_test(pnl: Floats, low: Ints, high: Ints) -> Floats:
    """Two-sided p of the Wald–Wolfowitz runs test over the signs of the non-zero pnl (normal approximation).

    mean 1 + 2ab/n, variance 2ab(2ab - n)/(n²(n - 1)) for a wins, b losses, n = a + b. Same figure as statsmodels'
    runstest_1samp without continuity correction. NaN under 20 trades or when all went one way.
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
        return np.where(some, _erfc(np.abs(z) / np.sqrt(2)).astype(np.float64), np.nan)


def expected_frequency(trades: Ints, win_rate: Floats) -> Floats:
    """Percent of trades expected at a run of at least k wins if trades were independent; shape (windows, lengths).

    `win_rate` in percent: 100 · max(0, n-k+1)/n · p^k. NaN without trades.
    """
    n = trades[:, None].astype(np.float64)
    k = np.array(STREAK_LENGTHS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(n > 0, 100 * np.maximum(0, n - k + 1) / n * (win_rate[:, None] / 100) ** k, np.nan)
