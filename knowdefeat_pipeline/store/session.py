"""A session with the database for one piece of work: a run of an asset, or a batch of the live listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property, partial
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.pq import TransactionStatus

from knowdefeat_pipeline.core.metrics.lifetime import Past
from knowdefeat_pipeline.core.metrics.score_means import TradeScores
from knowdefeat_pipeline.core.rows import Columns
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Ints, day_start
from knowdefeat_pipeline.postgres.connection import connect, query, read_arrow
from knowdefeat_pipeline.scale.costs import held_bytes
from knowdefeat_pipeline.scale.plan import Extent, Plan, make_plan
from knowdefeat_pipeline.scale.staging import Staging, begun
from knowdefeat_pipeline.scale.workers import Workers
from knowdefeat_pipeline.store.exposures import sync_exposures
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.months import read_days, read_past, sync_months
from knowdefeat_pipeline.store.staleness import Mark, current_snapshot
from knowdefeat_pipeline.store.trade_scores import any_scores

# Scores of the trades of these bots, None for all; None where no trade has any.
Scores = Callable[[Ints | None], TradeScores | None]


@dataclass(frozen=True)
class KnownTrades:
    """At least the trades with since <= exit_time < until that the snapshot `seen` shows, sorted once they are asked
    for."""

    since: datetime
    until: datetime
    seen: str
    read: Callable[[Ints | None], Trades]
    _asked: dict[bytes, Trades] = field(init=False, repr=False, compare=False, default_factory=dict)

    def reaches(self, since: datetime, until: datetime) -> bool:
        """Whether all with since <= exit_time < until are among them."""
        return self.since <= since and self.until >= until

    @cached_property
    def trades(self) -> Trades:
        """All of them."""
        return self.read(None)

    def of_bots(self, bots: Ints | None) -> Trades:
        """Those of these bots, None for all; each of a batch's steps asks for the same."""
        if bots is None:
            return self.trades
        asked = bots.tobytes()
        if asked not in self._asked:
            self._asked.clear()
            self._asked[asked] = self.read(bots)
        return self._asked[asked]


class Session:
    """A connection in autocommit mode to the database at `url`, and bulk reads beside it.

    What one step has read of the trades the next need not read again, so that the steps of one piece of work agree on
    which trades there are, whatever arrives meanwhile. `memory` keeps them for the pieces of work that follow too.
    """

    def __init__(
        self, url: str, connection: psycopg.Connection, memory: Memory | None = None, workers: Workers | None = None
    ) -> None:
        self.url = url
        self.connection = connection
        self.memory = memory
        self.workers = workers or Workers()
        self.staging: Staging | None = None
        self._staged = ExitStack()
        self._seen: str | None = None
        self._known: KnownTrades | None = None
        self._left: tuple[Sequence[Mark], Columns] | None = None
        self._began: date | None = None
        self._content: UUID | None = None

    def begin(self, first: date) -> None:
        """Begin a piece of work over days from `first` on: look anew which trades there are, and fold earlier months.

        The snapshot is taken before anything is read: what commits from here on may be missed somewhere, and is found
        stale again. (Not the estimates that are made now, which are among what is read.)
        """
        self.unstage()
        self._known, self._left, self._began = None, None, first
        sync_exposures(self.connection, self.url)
        self._seen = current_snapshot(self.connection)
        self._content = sync_months(self.connection, self.url, first.replace(day=1))

    def ensure_begun(self, first: date) -> None:
        """Begin over days from `first` on, where no step before has."""
        if self._began is None or self._began > first:
            self.begin(first)

    def read(self, name: str, *parameters: object) -> pa.Table:
        """The committed rows of `sql/queries/<name>.sql`, fast however many there are."""
        return read_arrow(self.url, query(name), parameters)

    @property
    def seen(self) -> str:
        """The snapshot whose trades count for this piece of work."""
        self._seen = self._seen or current_snapshot(self.connection)
        return self._seen

    def plan(self, since: datetime, until: datetime, days: int) -> Plan | None:
        """The shards in which these days are computed from the closed trades with since <= exit_time < until; None
        where that is done in one piece.

        So it is within a transaction, whose results nobody else sees before its end, and where the trades are there
        already: in a memory, or from a step before.
        """
        whole = self.workers.whole_bytes
        idle = self.connection.info.transaction_status == TransactionStatus.IDLE
        if self.memory or not idle or self._knows(since, until):
            return None
        extent = Extent.of(self.connection)
        if extent.is_small(days, whole):
            return None
        plan = make_plan(self.url, since, until, days, self.workers.shard_bytes, extent.slices(days))
        return plan if held_bytes(plan.trades, plan.rows) > whole else None

    def stage(self) -> Staging:
        """Begin a staging, which lasts until `unstage` or the next one; the last is gone."""
        self.unstage()
        self.staging = self._staged.enter_context(begun(self.url))
        return self.staging

    def unstage(self) -> None:
        """Remove what is staged."""
        self.staging = None
        self._staged.close()

    def trades(self, since: datetime, until: datetime) -> KnownTrades:
        """The closed trades with since <= exit_time < until, at least, and the snapshot in which they were read."""
        known = self._known
        if known is None or not known.reaches(since, until):
            seen = self.seen
            if self.memory:  # from a midnight on: rows that leave the window need not be left out at every batch
                table = self.memory.trade_rows.read(self._content, day_start(since.date()), seen)
                read = partial(_trades, table)
            else:
                trades = Trades.from_arrow(self.read("trades/read_trades", since, until))
                read = partial(Trades.among, trades)
            known = self._known = KnownTrades(since, until, seen, read)
        return known

    def _knows(self, since: datetime, until: datetime) -> bool:
        return self._known is not None and self._known.reaches(since, until)

    def leave(self, marks: Sequence[Mark], rows: Columns) -> None:
        """Leave what was just written under these marks for the step that reads it, which need not do so then."""
        self._left = marks, rows

    def take_left(self, marks: Sequence[Mark]) -> Columns | None:
        """What was left under these marks, once; None where something else was or nothing."""
        left, self._left = self._left, None
        return left[1] if left and [of.number for of in left[0]] == [of.number for of in marks] else None

    def scores(self, since: datetime, until: datetime, seen: str) -> Scores:
        """The scores of the closed trades with since <= exit_time < until, at least, for the bots that are asked for;
        None where no trade has any."""
        if not any_scores(self.connection):
            return lambda bots: None
        if self.memory:
            table = self.memory.score_rows.read(self._content, day_start(since.date()), seen)
        else:
            table = self.read("market/read_scores", since, until)
        return lambda bots: TradeScores.from_arrow(_rows_of(table, bots))

    def past(self, before: date) -> Past:
        """All months before `before` (the first of a month), folded."""
        if self.memory:
            return self.memory.past(self.connection, self._content, before)
        return read_past(self.url, before)

    def days(self, before: date) -> DailyResults:
        """What all days before `before` (the first of a month) left of each bot's results."""
        return self.memory.days(self._content, before) if self.memory else read_days(self.url, before)


def _trades(table: pa.Table, bots: Ints | None) -> Trades:
    return Trades.from_arrow(_rows_of(table, bots))


def _rows_of(table: pa.Table, bots: Ints | None) -> pa.Table:
    if bots is None:
        return table.combine_chunks()
    return table.filter(pc.is_in(table["bot_id"], pa.array(bots, table["bot_id"].type)))


@contextmanager
def open_session(url: str) -> Iterator[Session]:
    """A session that is closed at the end. Raises DatabaseUnreachable."""
    with connect(url) as connection:
        session = Session(url, connection)
        try:
            yield session
        finally:
            session.unstage()
