"""Daily results laid out by day and bot, and what those of each bot add up to by the ends of many days at once.

A sum is formed the same way whichever other days are asked for, so that it has the same bits in every range of days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.units import Floats, Ints


@dataclass(frozen=True)
class Panel:
    """The bots in the order of their first days, `begun`, and the days on which any has results.

    So what was known at an earlier day is the upper left part, whatever came later. `daily` (days, bots, 2): the pnl
    and the number of trades of each bot's day; 0 without. `row`: the bot of each result, by number.
    """

    bot: Ints
    begun: Ints
    day: Ints
    daily: Floats
    row: Ints

    @classmethod
    def of(cls, results: DailyResults) -> Panel:
        """The panel of these results.

        >>> pnl, day = np.array([1.0, 2.0, 4.0]), np.array([8, 3, 8])
        >>> panel = Panel.of(DailyResults.of_columns(np.array([5, 6, 6]), day, pnl))
        >>> panel.bot.tolist(), panel.day.tolist(), panel.daily.tolist()
        ([6, 5], [3, 8], [[[2.0, 1.0], [0.0, 0.0]], [[4.0, 1.0], [1.0, 1.0]]])
        """
        begin = np.flatnonzero(np.diff(results.bot, prepend=results.bot[:1] - 1))
        order = np.argsort(results.day[begin], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        row = np.repeat(place, np.diff(begin, append=len(results)))
        day = np.unique(results.day)
        column = np.searchsorted(day, results.day)
        daily = np.zeros((len(day), len(order), 2))
        daily[column, row, 0] = results.pnl
        daily[column, row, 1] = results.trades
        first = begin[order]
        return cls(results.bot[first], results.day[first], day, daily, row)

    def bots_by(self, last_day: Ints) -> Ints:
        """How many bots are known by the ends of these days."""
        return np.searchsorted(self.begun, last_day, "right")


CELLS = 100_000  # bots times days of several terms that are added up at once


class Sums(NamedTuple):
    """Of a window of each bot, (bots, days asked for): its trades, wins, losses and days with trades; the sums of its
    results and of their second and third powers; and over days: of the squares of trades, of trades times pnl, and of
    the squares of pnl."""

    trades: Floats
    wins: Floats
    losses: Floats
    days: Floats
    pnl: Floats
    squares: Floats
    cubes: Floats
    day_trades: Floats
    day_products: Floats
    day_pnl: Floats


def sums(results: DailyResults, panel: Panel, last_days: Ints, days: int | None) -> Sums:
    """What results add up to by the ends of `last_days`, which ascend: of the last `days`, None for all."""
    add = _Lifetime if days is None else _Trailing
    window = add(results.day, panel.row, last_days, len(panel.bot), days or 0)
    terms, found = _terms(results), list[Floats]()
    while some := [*islice(terms, max(1, CELLS // max(window.cells, 1)))]:
        found.extend(window.of(np.stack(some)))
    return Sums(*found)


def _terms(results: DailyResults) -> Iterator[Floats]:
    """What a bot's day adds to each of `Sums`."""
    trades, pnl = results.trades.astype(np.float64), results.pnl
    mean = pnl / trades
    yield from (trades, results.wins.astype(np.float64), results.losses.astype(np.float64), np.ones(len(pnl)), pnl)
    yield results.m2 + pnl * mean
    yield results.m3 + mean * (3 * results.m2 + pnl * mean)
    yield from (trades**2, trades * pnl, pnl**2)


class _Lifetime:
    """Sums day after day, from the first on."""

    def __init__(self, day: Ints, row: Ints, last_days: Ints, bots: int, days: int) -> None:
        first, last = last_days[[0, -1]]
        self._shape, self._asked = (bots, int(last - first) + 1), last_days - first
        self._early, self._late = np.flatnonzero(day <= first), np.flatnonzero((first < day) & (day <= last))
        self._begun, self._place = row[self._early], (row[self._late], day[self._late] - first)
        self.cells = bots * self._shape[1]

    def of(self, values: Floats) -> Floats:
        """The sums of the values (terms, results): (terms, bots, days asked for)."""
        grid = np.zeros((len(values), *self._shape))
        for term, early in zip(grid, values[:, self._early], strict=True):
            term[:, 0] = np.bincount(self._begun, early, len(term))  # which adds one after another, too
        grid[:, *self._place] = values[:, self._late]
        return np.cumsum(grid, axis=2)[..., self._asked]


class _Trailing:
    """Sums over the last `days` without a subtraction, which would leave rounding errors of what has left the window.

    The calendar is cut into blocks as long as the window: a window is the end of a block and the beginning of the next,
    and both are running sums (van Herk 1992).
    """

    def __init__(self, day: Ints, row: Ints, last_days: Ints, bots: int, days: int) -> None:
        first, last = last_days[0] - days + 1, last_days[-1]
        self._inside = np.flatnonzero((first <= day) & (day <= last))
        self._place = row[self._inside], day[self._inside] - first
        self._shape = (bots, int(last - first) + 1)
        block = np.arange(first, last + 1) // days
        self._blocks = np.flatnonzero(np.diff(block, prepend=block[0] - 1, append=block[-1] + 1))
        self._end = last_days - first
        self._begin = self._end - days + 1
        self._whole = block[self._begin] == block[self._end]
        self.cells = bots * self._shape[1]

    def of(self, values: Floats) -> Floats:
        """The sums of the values (terms, results): (terms, bots, days asked for)."""
        grid = np.zeros((len(values), *self._shape))
        grid[:, *self._place] = values[:, self._inside]
        since, until = np.empty_like(grid), np.empty_like(grid)  # the beginning of a block; its end
        for begin, end in zip(self._blocks[:-1], self._blocks[1:], strict=True):
            np.cumsum(grid[..., begin:end], axis=2, out=since[..., begin:end])
            np.cumsum(grid[..., begin:end][..., ::-1], axis=2, out=until[..., begin:end][..., ::-1])
        return np.where(self._whole, 0.0, until[..., self._begin]) + since[..., self._end]
