"""What bots have to trade with: stated, or estimated as the most that they had open at once up to then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.core.trades.series import positions
from knowdefeat_pipeline.core.units import NEVER, Bools, Floats, Ints

ROUNDED = 10  # significant digits of an exposure: the order in which sizes are added does not show in it


@dataclass(frozen=True)
class Exposures:
    """The steps of the most that bots had open at once: `exposure` (E,) for every as_of later than `since` (µs), until
    the bot's next step. Sorted by bot and since; a bot's exposures ascend."""

    bot: Ints
    since: Ints
    exposure: Floats

    @classmethod
    def none(cls) -> Exposures:
        """Of no bot."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    def of_bots(self, bots: Ints) -> Exposures:
        """Those of these bots (ascending, each once)."""
        begin, end = (np.searchsorted(self.bot, bots, side) for side in ("left", "right"))
        _, rows = flat_ranges(begin, end)
        return Exposures(self.bot[rows], self.since[rows], self.exposure[rows])

    def at(self, bots: Ints, as_of: Ints) -> Floats:
        """Per bot (ascending, each once) and as_of (ascending), shape (bots, as_ofs); NaN before a bot's first step."""
        own = self.of_bots(bots)
        start, stop = (np.searchsorted(own.bot, bots, side) for side in ("left", "right"))
        step = positions(own.since, start, stop, as_of)
        return np.where(step > start[:, None], np.append(own.exposure, np.nan)[step - 1], np.nan)


def exposures(bot: Ints, entry: Ints, exit_: Ints, size: Floats, above: Floats | None = None) -> Exposures:
    """The steps at which bots had more open than ever before.

    Each trade has `size` open in [entry, exit_) (µs; NEVER: it is open still), for a moment at least. `above`: per
    trade what its bot had open at most before; only higher steps count.
    """
    closed = exit_ != NEVER
    time = np.concatenate([entry, np.maximum(exit_, entry + 1)[closed]])
    change = np.concatenate([size, -size[closed]])
    owner = np.concatenate([bot, bot[closed]])
    floor = np.concatenate([above, above[closed]]) if above is not None else np.zeros(len(owner))
    order = np.lexsort((time, owner))
    owner, time, change, floor = owner[order], time[order], change[order], floor[order]
    if not len(owner):
        return Exposures.none()
    # All that happens at an instant happens at once. (Compensated sums: nothing is left of what was closed.)
    open_ = _rounded(pd.Series(change).groupby(owner).cumsum().to_numpy())
    last = np.append((owner[1:] != owner[:-1]) | (time[1:] != time[:-1]), True)
    owner, time, open_, floor = owner[last], time[last], open_[last], floor[last]
    most = pd.Series(np.maximum(open_, floor)).groupby(owner).cummax().to_numpy()
    first = np.append(True, owner[1:] != owner[:-1])
    before = np.where(first, floor, np.append(0.0, most[:-1]))
    steps = most > before
    return Exposures(owner[steps], time[steps], most[steps])


def _rounded(values: Floats) -> Floats:
    size = np.abs(values)
    digits = ROUNDED - 1 - np.floor(np.log10(np.where(size > 0, size, 1.0))).astype(np.int64)
    # Powers of ten are exact up to 10^22: numbers are moved by two of them, and back by the same.
    low, high = np.clip(digits, -22, 22), digits - np.clip(digits, -22, 22)
    scaled = np.rint(_shifted(_shifted(values, low), high))
    return _shifted(_shifted(scaled, -high), -low)


def _shifted(values: Floats, digits: Ints) -> Floats:
    power = 10.0 ** np.abs(digits)
    return np.where(digits < 0, values / power, values * power)


@dataclass(frozen=True)
class Capital:
    """`stated`: by bot, of those of which somebody said it. `exposures`: of the others."""

    stated: Mapping[int, float] = field(default_factory=dict)
    exposures: Exposures = field(default_factory=Exposures.none)

    def at(self, bots: Ints, as_of: Ints) -> Floats:
        """The capital of each bot (several times, too) at each as_of (ascending), shape (bots, as_ofs), NaN where it is
        not known."""
        names, place = np.unique(bots, return_inverse=True)
        stated = np.array([self.stated.get(bot, np.nan) for bot in names.tolist()])[:, None]
        out: Floats = np.where(np.isnan(stated), self.exposures.at(names, as_of), stated)[place]
        return out

    def is_estimated(self, bots: Ints) -> Bools:
        """Of which bots nobody stated it."""
        return ~np.isin(bots, np.array([*self.stated], np.int64))

    def now(self, as_of: int) -> dict[int, tuple[float, bool]]:
        """By bot, what is known at as_of, and whether it is an estimate."""
        bots = np.unique(self.exposures.bot)
        estimates = zip(bots.tolist(), self.exposures.at(bots, np.array([as_of]))[:, 0].tolist(), strict=True)
        known = {bot: (amount, True) for bot, amount in estimates if amount == amount}
        return known | {bot: (amount, False) for bot, amount in self.stated.items()}
