"""What a session that computes often remembers: the window's trades and their scores, each row read once, the past, and
the figures of bots to which nothing has happened since.

A memory belongs to one session and ends with it. A process must not keep it any longer: what committed without waiting
for the disk may be undone by a crash of the server, which then gives the same transaction ids out again, and a memory
that counts them as seen would never read the trades that get them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.metrics.engine import moved_bots
from knowdefeat_pipeline.core.metrics.lifetime import Past
from knowdefeat_pipeline.core.rows import Columns, differing, replaced
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Said, renewed
from knowdefeat_pipeline.core.skill.panel import Panel
from knowdefeat_pipeline.core.skill.verdicts import Window
from knowdefeat_pipeline.core.trades.columns import arrow_micros
from knowdefeat_pipeline.core.units import DAY, Ints, last_day, micros
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.store.months import read_days, read_past

NOTHING = "1:1:"  # the snapshot that sees no transaction
SKILL = "bot_skill"
TAIL = 16  # the rows that arrived since all were put together, at most, as a part of all: one sixteenth


@dataclass
class RecentRows:
    """Rows of closed trades with exit_time >= `since` that the transactions of `seen` wrote, and no others.

    `arrived` names the query that reads those of a later snapshot. Where rows are `renewed`, the latest of each trade
    counts; trades themselves never change once they closed.
    """

    url: str
    arrived: str
    renewed: bool
    since: datetime | None = None
    seen: str = NOTHING
    content: UUID | None = None
    table: pa.Table | None = None
    # How often rows were read, in which of these readings each bot had one last, and which was the last from nothing.
    readings: int = 0
    arrived_in: dict[int, int] = field(default_factory=dict)
    begun_in: int = 0

    def read(self, content: UUID | None, since: datetime, snapshot: str) -> pa.Table:
        """All rows since then that the snapshot shows. What is held is not read again.

        `content`: that of the months, read later than the snapshot was taken.
        """
        # Where trades were deleted, or months were folded anew, those that are held may be gone.
        if self.table is None or self.since is None or since < self.since or content != self.content:
            self.since, self.seen, self.content, self.table = since, NOTHING, content, None
            self.begun_in, self.arrived_in = self.readings + 1, {}
        arrived = read_arrow(self.url, query(self.arrived), [since, self.seen, snapshot])
        self.table = arrived if self.table is None else pa.concat_tables([self._kept(self.table, arrived), arrived])
        if since > self.since:
            oldest = pa.scalar(since, pa.timestamp("us", "UTC"))
            self.table = self.table.filter(pc.greater_equal(self.table["exit_time"], oldest))
        self.table = _packed(self.table)
        self.since, self.seen = since, snapshot
        self.readings += 1
        self.arrived_in |= dict.fromkeys(pc.unique(arrived["bot_id"]).to_pylist(), self.readings)
        return self.table

    def bots_since(self, reading: int) -> list[int] | None:
        """The bots of which rows arrived since that reading; None where all were read from nothing since."""
        if self.begun_in > reading:
            return None
        return [bot for bot, arrived in self.arrived_in.items() if arrived > reading]

    def _kept(self, held: pa.Table, arrived: pa.Table) -> pa.Table:
        if not self.renewed or not len(arrived):
            return held
        return held.filter(pc.invert(pc.is_in(held["trade_id"], arrived["trade_id"].combine_chunks())))


def _packed(table: pa.Table) -> pa.Table:
    """The rows in two pieces, of which the later is small: pieces cost more to look through than rows."""
    if not table.num_columns or table.column(0).num_chunks <= 1:
        return table
    first = len(table.column(0).chunk(0))
    if TAIL * (len(table) - first) > first:
        return table.combine_chunks()
    return pa.concat_tables([table.slice(0, first), table.slice(first).combine_chunks()])


@dataclass(frozen=True)
class Kept:
    """The table of all bots' figures at `as_of`, and what it rests on: the readings of trades and scores, the months'
    content and each bot's capital at `as_of`, with whether it is estimated."""

    as_of: datetime
    trade_reading: int
    score_reading: int
    content: UUID | None
    capital: Mapping[int, tuple[float, bool]]
    table: Columns


@dataclass(frozen=True)
class Renewed:
    """The table of all bots' figures. That of the last time was written under the mark `written` (None: it was not).

    The rows of `moved` bots differ from it in more than what the mark tells; None where those of all may.
    """

    table: Columns
    moved: Ints | None
    written: int | None


# The table of the figures of these bots, None for all.
Compute = Callable[[Ints | None], Columns]
# What the results of these bots say of their skill, None for all.
ComputeSaid = Callable[[Ints | None], Said[Window]]
# Bots, ascending, and the first bot of each one's strategy.
Leaders = tuple[list[int], list[int]]
# A table of figures at a later as_of (µs), right for bots to which nothing has happened.
Carry = Callable[[Columns, int], Columns]


@dataclass
class Memory:
    """The memory of one session over the database at `url`."""

    url: str
    trade_rows: RecentRows = field(init=False)
    score_rows: RecentRows = field(init=False)
    _past: tuple[date, UUID | None, Past] | None = field(init=False, default=None)
    _days: tuple[date, UUID | None, DailyResults] | None = field(init=False, default=None)
    _kept: dict[str, Kept] = field(init=False, default_factory=dict)
    _rows: dict[str, Columns] = field(init=False, default_factory=dict)
    _written: dict[str, int | None] = field(init=False, default_factory=dict)
    _said: Said[Window] | None = field(init=False, default=None)
    _numbered: tuple[Panel, Leaders, Ints] | None = field(init=False, default=None)
    _asked: tuple[int, datetime, datetime] | None = field(init=False, default=None)
    _entered: Ints = field(init=False, default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        self.trade_rows = RecentRows(self.url, "trades/read_arrived_trades", renewed=False)
        self.score_rows = RecentRows(self.url, "market/read_arrived_scores", renewed=True)

    def past(self, connection: psycopg.Connection, content: UUID | None, before: date) -> Past:
        """All months before `before`, read again once they hold something else than this content."""
        if self._past is None or self._past[:2] != (before, content):
            self._past = before, content, read_past(self.url, before)
        return self._past[2]

    def days(self, content: UUID | None, before: date) -> DailyResults:
        """Results of all days before `before`, read again once the months hold something else than this content."""
        if self._days is None or self._days[:2] != (before, content):
            self._days = before, content, read_days(self.url, before)
        return self._days[2]

    def renewed(
        self, name: str, as_of: datetime, capital: Mapping[int, tuple[float, bool]], compute: Compute, carry: Carry
    ) -> Renewed:
        """The table of all bots at `as_of`, by bot: computed for those to which something has happened since the last
        time under this `name`, carried for the others.

        Call it after trades and scores were read. A bot's figures depend on no other bot, so that it comes to the same
        as to compute all.
        """
        kept = self._kept.pop(name, None)
        moved = self._moved(kept, as_of, capital) if kept else None
        if kept is None or moved is None:
            table = compute(None)
        else:
            (end,) = micros([as_of]).tolist()
            table = replaced(carry(kept.table, end), moved, compute(moved))
        trades = self.trade_rows
        self._kept[name] = Kept(as_of, trades.readings, self.score_rows.readings, trades.content, capital, table)
        return Renewed(table, moved, self._written.pop(name, None))

    def said(self, as_of: datetime, compute: ComputeSaid) -> Said[Window]:
        """What the results of all bots say of their skill, as `renewed`: computed for those to which something has
        happened."""
        kept, known = self._kept.pop(SKILL, None), self._said
        moved = self._moved(kept, as_of, {}) if kept else None
        found = None if moved is None or known is None else renewed(known, compute(moved))
        self._said = compute(None) if found is None else found
        trades = self.trade_rows
        self._kept[SKILL] = Kept(as_of, trades.readings, self.score_rows.readings, trades.content, {}, {})
        return self._said

    def numbered(self, panel: Panel, leaders: Leaders, number: Callable[[], Ints]) -> Ints:
        """The number of each bot's strategy, which is that of the last time unless bots or strategies changed."""
        if self._numbered is None or self._numbered[0] is not panel or self._numbered[1] != leaders:
            self._numbered = panel, leaders, number()
        return self._numbered[2]

    def compared(self, name: str, rows: Columns) -> Renewed:
        """One row a bot, beside those of the last time under this `name`."""
        known = self._rows.pop(name, None)
        self._rows[name] = rows
        moved = None if known is None else differing(rows, known)
        return Renewed(rows, moved, self._written.pop(name, None))

    def wrote(self, name: str, mark: int | None) -> None:
        """What was renewed last under this name was written under this mark."""
        self._written[name] = mark

    def _moved(self, kept: Kept, as_of: datetime, capital: Mapping[int, tuple[float, bool]]) -> Ints | None:
        """The bots to which something has happened since, None where it may be all."""
        table = self.trade_rows.table
        if table is None or kept.content != self.trade_rows.content or not _carries(*micros([kept.as_of, as_of])):
            return None
        arrived = self.trade_rows.bots_since(kept.trade_reading)
        scored = self.score_rows.bots_since(kept.score_reading)
        if arrived is None or scored is None:
            return None
        changed = [bot for bot, _ in capital.items() ^ kept.capital.items()]
        moved = [np.array([*arrived, *scored, *changed], np.int64), self._left_or_entered(table, kept.as_of, as_of)]
        return np.unique(np.concatenate(moved))

    def _left_or_entered(self, table: pa.Table, before: datetime, as_of: datetime) -> Ints:
        """The bots of trades that are in another window; each of a batch's steps asks for the same."""
        asked = (self.trade_rows.readings, before, as_of)
        if self._asked != asked:
            bot, exit_ = table["bot_id"].to_numpy(), arrow_micros(table["exit_time"])
            self._asked, self._entered = asked, moved_bots(bot, exit_, *micros([before, as_of]).tolist())
        return self._entered


def _carries(before: int, as_of: int) -> bool:
    """Whether figures can be carried from one instant to the other: a later one of the same day.

    Not to the day's end: the window that ends there touches a calendar day less, and begins a day later.
    """
    first, last = last_day(np.array([before, as_of])).tolist()
    return before <= as_of and first == last and (before == as_of or as_of % DAY != 0)
