"""What a process that refreshes often keeps from one run to the next: its session, and the window's trades and scores.

Of the latter each row is read once.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import LiteralString
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.metrics.score_means import Scores
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.postgres.connection import connect, query, read_arrow

NOTHING = "1:1:"  # the snapshot that sees no transaction

_SESSIONS: dict[str, psycopg.Connection] = {}  # that no run uses, by URL


@contextmanager
def warm_session(url: str) -> Iterator[psycopg.Connection]:
    """A session for a run, which the next run finds open. Advisory locks of the run end with it."""
    session = _SESSIONS.pop(url, None)
    if session is None or not _answers(session):
        session = connect(url)
        session.prepare_threshold = None  # a plan kept for all days knows nothing of the few rows of the last one
    try:
        yield session
    finally:
        if _answers(session, "SELECT pg_advisory_unlock_all()"):  # else it went away, which the run has noticed
            _SESSIONS[url] = session


def _answers(session: psycopg.Connection, statement: LiteralString = "SELECT 1") -> bool:
    try:
        session.execute(statement)
    except psycopg.OperationalError:
        session.close()
        return False
    return True


@atexit.register
def _close_sessions() -> None:
    for session in _SESSIONS.values():
        session.close()


@dataclass
class Warm:
    """Rows of closed trades with exit_time > `since` that the transactions of `seen` wrote, and no others.

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
        content = _content(connection)
        if self.table is None or self.since is None or since < self.since or content != self.content:
            self.since, self.seen, self.content, self.table = since, NOTHING, content, None
        arrived = read_arrow(self.url, query(self.arrived), [since, self.seen, snapshot])
        self.table = arrived if self.table is None else pa.concat_tables([self._kept(self.table, arrived), arrived])
        if since > self.since:
            self.table = self.table.filter(
                pc.greater(self.table["exit_time"], pa.scalar(since, pa.timestamp("us", "UTC")))
            )
        self.table = self.table.combine_chunks()
        self.since, self.seen = since, snapshot
        return self.table

    def _kept(self, held: pa.Table, arrived: pa.Table) -> pa.Table:
        if not self.renewed or not len(arrived):
            return held
        return held.filter(pc.invert(pc.is_in(held["trade_id"], arrived["trade_id"].combine_chunks())))


def warm_trades(url: str, connection: psycopg.Connection, since: datetime, snapshot: str) -> Trades:
    """The closed trades with exit_time > `since` that the snapshot shows."""
    return Trades.from_arrow(_held(url, "trades/read_arrived_trades", False).read(connection, since, snapshot))


def warm_scores(url: str, connection: psycopg.Connection, since: datetime, snapshot: str) -> Scores:
    """The scores of the closed trades with exit_time > `since` that the snapshot shows."""
    return Scores.from_arrow(_held(url, "market/read_arrived_scores", True).read(connection, since, snapshot))


@cache
def _held(url: str, arrived: str, renewed: bool) -> Warm:
    """What this process holds of a database."""
    return Warm(url, arrived, renewed)


def _content(connection: psycopg.Connection) -> UUID | None:
    # Where a source was removed, or months were folded anew, the trades that are held may be gone.
    row = connection.execute("SELECT content FROM bot_months_state").fetchone()
    return row[0] if row else None
