"""What a session that computes often remembers: the window's trades and their scores, each row read once, and the past.

A memory belongs to one session and ends with it. A process must not keep it any longer: what committed without waiting
for the disk may be undone by a crash of the server, which then gives the same transaction ids out again, and a memory
that counts them as seen would never read the trades that get them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.metrics.lifetime import Past
from knowdefeat_pipeline.core.metrics.score_means import TradeScores
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.postgres.connection import query, read_arrow
from knowdefeat_pipeline.store.months import months_content, read_past

NOTHING = "1:1:"  # the snapshot that sees no transaction


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

    def read(self, connection: psycopg.Connection, since: datetime, snapshot: str) -> pa.Table:
        """All rows since then that the snapshot shows. What is held is not read again."""
        # Where trades were deleted, or months were folded anew, those that are held may be gone.
        content = months_content(connection)
        if self.table is None or self.since is None or since < self.since or content != self.content:
            self.since, self.seen, self.content, self.table = since, NOTHING, content, None
        arrived = read_arrow(self.url, query(self.arrived), [since, self.seen, snapshot])
        self.table = arrived if self.table is None else pa.concat_tables([self._kept(self.table, arrived), arrived])
        if since > self.since:
            oldest = pa.scalar(since, pa.timestamp("us", "UTC"))
            self.table = self.table.filter(pc.greater_equal(self.table["exit_time"], oldest))
        self.table = self.table.combine_chunks()
        self.since, self.seen = since, snapshot
        return self.table

    def _kept(self, held: pa.Table, arrived: pa.Table) -> pa.Table:
        if not self.renewed or not len(arrived):
            return held
        return held.filter(pc.invert(pc.is_in(held["trade_id"], arrived["trade_id"].combine_chunks())))


@dataclass
class Memory:
    """The memory of one session over the database at `url`."""

    url: str
    trade_rows: RecentRows = field(init=False)
    score_rows: RecentRows = field(init=False)
    _past: tuple[date, UUID | None, Past] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.trade_rows = RecentRows(self.url, "trades/read_arrived_trades", renewed=False)
        self.score_rows = RecentRows(self.url, "market/read_arrived_scores", renewed=True)

    def trades(self, connection: psycopg.Connection, since: datetime, snapshot: str) -> Trades:
        """The closed trades with exit_time >= `since` that the snapshot shows."""
        return Trades.from_arrow(self.trade_rows.read(connection, since, snapshot))

    def scores(self, connection: psycopg.Connection, since: datetime, snapshot: str) -> TradeScores:
        """The scores of the closed trades with exit_time >= `since` that the snapshot shows."""
        return TradeScores.from_arrow(self.score_rows.read(connection, since, snapshot))

    def past(self, connection: psycopg.Connection, before: date) -> Past:
        """All months before `before`, read again once they hold something else."""
        content = months_content(connection)
        if self._past is None or self._past[:2] != (before, content):
            self._past = before, content, read_past(connection, self.url, before)
        return self._past[2]
