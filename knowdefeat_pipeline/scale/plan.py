"""A plan: the bots in shards, ranges of them that take about equally much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

import numpy as np
import psycopg

from knowdefeat_pipeline.core.units import Ints
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.scale.costs import ROW_BYTES, TRADE_BYTES, held_bytes

Bots: TypeAlias = tuple[int, int]
"""The bots from the first to the last of these."""
EVERY_BOT: Bots = (-(2**31), 2**31 - 1)
FIRST_BOT, LAST_BOT = EVERY_BOT
FEW_ROWS = 4  # of a bot and day, as of one that trades three tickers
MOST_SLICES = 10
FEWEST_COUNTED, COUNTED_A_ROW = 100_000, 3  # of the trades of all time, at least


@dataclass(frozen=True)
class Shard:
    """The bots first_bot..last_bot, about how many trades they have in the window, and how many rows they yield."""

    number: int
    first_bot: int
    last_bot: int
    trades: int
    rows: int

    @property
    def bots(self) -> Bots:
        """The first and the last of them."""
        return self.first_bot, self.last_bot

    def __str__(self) -> str:
        bots = f"{self._end(self.first_bot)} to {self._end(self.last_bot)}"
        return f"bots {bots}, about {self.trades:,} trades, {self.rows:,} rows"

    @staticmethod
    def _end(bot: int) -> str:
        return {FIRST_BOT: "the first", LAST_BOT: "the last"}.get(bot, f"{bot}")


@dataclass(frozen=True)
class Refresh:
    """What all shards of a refresh share: the days first..last, each up to its as_of, from trades with exit_time >=
    `since` that the snapshot `seen` shows. `plan`: the number of its staging. `with_metrics`: else streaks alone."""

    plan: int
    first: date
    last: date
    ends: Mapping[date, datetime]
    since: datetime
    seen: str
    with_metrics: bool


@dataclass(frozen=True)
class Plan:
    """Shards that have every bot once, in order."""

    shards: tuple[Shard, ...]

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.shards)

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def trades(self) -> int:
        """About how many trades all shards have."""
        return sum(shard.trades for shard in self)

    @property
    def rows(self) -> int:
        """About how many rows all shards yield."""
        return sum(shard.rows for shard in self)

    @property
    def largest(self) -> Shard:
        """The shard that takes most memory."""
        return max(self, key=lambda shard: held_bytes(shard.trades, shard.rows))


@dataclass(frozen=True)
class Extent:
    """How many trades the database holds, as its planner takes it (None: it does not know), and how many bots: at a
    glance, as to count the trades would take longer than to refresh a small database."""

    trades: int | None
    bots: int

    @classmethod
    def of(cls, connection: psycopg.Connection) -> Extent:
        """Of this database."""
        ((trades, bots),) = connection.execute(query("scale/extent")).fetchall()
        return cls(trades, bots)

    def is_small(self, days: int, whole: int) -> bool:
        """Whether so many days surely take no more than `whole` bytes."""
        return self.trades is not None and held_bytes(self.trades, self._rows(days)) <= whole

    def slices(self, days: int) -> int:
        """In one of how many slices of the window the trades of each bot are counted, to plan so many days.

        More than one where trades are so many that shards would hardly be cut otherwise: it costs that much less.
        """
        most = (self.trades or 0) // max(FEWEST_COUNTED, COUNTED_A_ROW * self._rows(days))
        return max(1, min(MOST_SLICES, most))

    def _rows(self, days: int) -> int:
        return self.bots * days * FEW_ROWS


def make_plan(url: str, since: datetime, until: datetime, days: int, most: int, slices: int = 1) -> Plan:
    """The shards, of at most `most` bytes each (or of one bot), in which these days are computed from the closed trades
    with since <= exit_time < until.

    `slices`: each bot's trades are counted in one of so many slices of that time, those of the following bot in the
    following one (see `Extent.slices`); with 1 all are.
    """
    found = read_arrow(url, query("scale/bots"), [since, (until - since) / slices, slices])
    bot, trades, tickers = (found[name].to_numpy().astype(np.int64) for name in ("bot_id", "trades", "tickers"))
    return cut(bot, slices * trades, days * (1 + np.maximum(tickers, 1)), most)


def cut(bot: Ints, trades: Ints, rows: Ints, most: int) -> Plan:
    """Shards that take about equally much, at most `most` bytes if no bot takes more by itself.

    `bot` ascends; `trades` and `rows` are those of each. A bot that is not among them belongs to the shard around it.

    >>> plan = cut(np.arange(1, 7), np.full(6, 1000), np.zeros(6, np.int64), 2000 * TRADE_BYTES)
    >>> [(shard.first_bot, shard.last_bot, shard.trades) for shard in plan]
    [(-2147483648, 2, 2000), (3, 4, 2000), (5, 2147483647, 2000)]
    """
    held = TRADE_BYTES * trades + ROW_BYTES * rows
    until = np.cumsum(held)
    begins, total = [0], int(until[-1]) if len(until) else 0
    shards = max(1, -(-total // most))
    # A bot more than an even part, or a few bots are left over for a shard of their own.
    even = min(most, -(-total // shards) + int(held.max(initial=0)))
    while True:
        begun = int(until[begins[-1] - 1]) if begins[-1] else 0
        following = int(np.searchsorted(until, begun + even, "right"))
        following = max(following, begins[-1] + 1)
        if following >= len(bot):
            break
        begins.append(following)
    stops = [*begins[1:], len(bot)]
    firsts = [FIRST_BOT, *(int(bot[at]) for at in begins[1:])]
    lasts = [*(first - 1 for first in firsts[1:]), LAST_BOT]
    return Plan(
        tuple(
            Shard(number, first, last, int(trades[begin:stop].sum()), int(rows[begin:stop].sum()))
            for number, (first, last, begin, stop) in enumerate(zip(firsts, lasts, begins, stops, strict=True))
        )
    )
