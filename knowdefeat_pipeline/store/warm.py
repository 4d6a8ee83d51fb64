"""The trades of the window, held by a process that refreshes often: each is read once, however often they are used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.series import Trades
from knowdefeat_pipeline.store.database import query, read_arrow

NOTHING = "1:1:"  # the snapshot that sees no transaction
MOST_CHUNKS = 50


@dataclass
class WarmTrades:
    """Closed trades with exit_time > `since` that the transactions of `seen` wrote, and no others."""

    url: str
    since: datetime | None = None
    seen: str = NOTHING
    content: UUID | None = None
    table: pa.Table | None = None

    def read(self, connection: psycopg.Connection, since: datetime, snapshot: str) -> Trades:
        """All closed trades since then that the snapshot shows. What is held is not read again."""
        content = _content(connection)
        if self.table is None or self.since is None or since < self.since or content != self.content:
            self.since, self.seen, self.content, self.table = since, NOTHING, content, None
        arrived = read_arrow(self.url, query("read_arrived_trades"), [since, self.seen, snapshot])
        self.table = arrived if self.table is None else pa.concat_tables([self.table, arrived])
        if since > self.since:
            self.table = self.table.filter(
                pc.greater(self.table["exit_time"], pa.scalar(since, pa.timestamp("us", "UTC")))
            )
        if self.table["exit_time"].num_chunks > MOST_CHUNKS:
            self.table = self.table.combine_chunks()
        self.since, self.seen = since, snapshot
        return Trades.from_arrow(self.table)


@cache
def warm_trades(url: str) -> WarmTrades:
    """What this process holds of a database's trades."""
    return WarmTrades(url)


def _content(connection: psycopg.Connection) -> UUID | None:
    # Where a source was removed, or months were folded anew, the trades that are held may be gone.
    row = connection.execute("SELECT content FROM bot_months_state").fetchone()
    return row[0] if row else None
