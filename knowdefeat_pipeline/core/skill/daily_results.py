"""What a bot's UTC day leaves of its results: counts and sums, from which skill follows without any trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.trades.reductions import flat_ranges
from knowdefeat_pipeline.core.units import Array, Floats, Ints, day_of


@dataclass(frozen=True)
class DailyResults:
    """A row per bot and day with closed trades, sorted by both.

    `day`: number of the UTC day; `pnl`: sum of net results; `m2`, `m3`: sums of the second and third powers of their
    deviations from the day's mean, which stay exact where sums of powers would cancel.
    """

    bot: Ints
    day: Ints
    trades: Ints
    wins: Ints
    losses: Ints
    pnl: Floats
    m2: Floats
    m3: Floats

    def __len__(self) -> int:
        return len(self.bot)

    @classmethod
    def of(cls, trades: Trades) -> DailyResults:
        """The days of these trades."""
        return cls.of_columns(trades.bot, day_of(trades.exit), trades.pnl)

    @classmethod
    def between(cls, trades: Trades, since: int, until: int) -> DailyResults:
        """The days of those of these trades with since <= exit < until (µs)."""
        inside = (since <= trades.exit) & (trades.exit < until)
        return cls.of_columns(trades.bot[inside], day_of(trades.exit[inside]), trades.pnl[inside])

    @classmethod
    def of_columns(cls, bot: Ints, day: Ints, pnl: Floats) -> DailyResults:
        """The days of trades that are sorted by bot and day.

        >>> results = DailyResults.of_columns(np.array([1, 1, 1, 2]), np.array([0, 0, 3, 3]), np.array([1.0, -3, 5, 0]))
        >>> results.trades.tolist(), results.losses.tolist(), results.pnl.tolist(), results.m2.tolist()
        ([2, 1, 1], [1, 0, 0], [-2.0, 5.0, 0.0], [8.0, 0.0, 0.0])
        """
        begin = np.flatnonzero((np.diff(bot, prepend=bot[:1] - 1) != 0) | (np.diff(day, prepend=day[:1] - 1) != 0))
        count = np.diff(begin, append=len(bot))
        total = _sums(pnl, begin)
        off = pnl - np.repeat(total / count, count)
        return cls(
            bot=bot[begin],
            day=day[begin],
            trades=count,
            wins=_sums((pnl > 0).astype(np.int64), begin),
            losses=_sums((pnl < 0).astype(np.int64), begin),
            pnl=total,
            m2=_sums(off**2, begin),
            m3=_sums(off**3, begin),
        )

    def among(self, bots: Ints) -> DailyResults:
        """Those of these bots, which ascend."""
        begin, end = (np.searchsorted(self.bot, bots, side) for side in ("left", "right"))
        _, rows = flat_ranges(begin, end)
        return DailyResults(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concat(cls, parts: Sequence[DailyResults]) -> DailyResults:
        """All rows of parts that share no bot's day, sorted."""
        columns: dict[str, Array] = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        order = np.lexsort((columns["day"], columns["bot"]))
        return cls(**{name: values[order] for name, values in columns.items()})


def _sums(values: Array, begin: Ints) -> Array:
    """Sums of the rows from each `begin` to the next, each by itself."""
    return np.add.reduceat(values, begin) if len(begin) else values[:0]
