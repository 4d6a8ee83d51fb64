"""What assets are given: the database and the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg
import psycopg
import pyarrow as pa
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from pydantic import PrivateAttr

from knowdefeat_pipeline.core.metrics.score_means import Scores
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.postgres import connection as database
from knowdefeat_pipeline.postgres.liveness import show_alive
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.staleness import current_snapshot, lock_days
from knowdefeat_pipeline.store.trade_scores import any_scores
from knowdefeat_pipeline.store.warm import warm_scores, warm_session, warm_trades


@dataclass(frozen=True)
class Held:
    """Trades with since < exit_time <= until, at least."""

    since: datetime
    until: datetime
    trades: Trades


class Database(dg.ConfigurableResource):
    """The database of KNOWDEFEAT_DATABASE_URL, or the embedded one.

    `warm` keeps the session and the window's trades in the process from one run to the next: for one that refreshes
    often.
    """

    url: str = ""
    warm: bool = False
    _resolved: str = PrivateAttr(default="")
    _held: Held | None = PrivateAttr(default=None)
    _session: psycopg.Connection | None = PrivateAttr(default=None)

    def address(self) -> str:
        """The URL, found once per process and run."""
        if not self._resolved:
            self._resolved = self.url or database.database_url(Settings.from_environment())
        return self._resolved

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode: the run's, else one that is closed at the end."""
        if self._session:
            yield self._session
            return
        with database.connect(self.address()) as connection:
            yield connection

    def trades(self, since: datetime, until: datetime, seen: str | None = None) -> Trades:
        """Closed trades with since < exit_time <= until, at least: what one asset of a run has read, the next need not.

        So the assets of a run also agree on which trades there are, whatever arrives meanwhile.
        """
        if self._held is None or not (self._held.since <= since and self._held.until >= until):
            with self.connect() as connection:
                if self.warm:
                    trades = warm_trades(self.address(), connection, since, seen or current_snapshot(connection))
                else:
                    trades = Trades.from_arrow(self.read("trades/read_trades", since, until))
            self._held = Held(since, until, trades)
        return self._held.trades

    def scores(self, connection: psycopg.Connection, since: datetime, until: datetime, seen: str) -> Scores | None:
        """The scores of closed trades with since < exit_time <= until, at least; None where no trade has any."""
        if not any_scores(connection):
            return None
        if self.warm:
            return warm_scores(self.address(), connection, since, seen)
        return Scores.from_arrow(self.read("market/read_scores", since, until))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Database"]:
        """A run shows that it lives, and has its days to itself: another refresh of them waits until it is over."""
        if context.run is None:
            yield self
            return
        with warm_session(self.address()) if self.warm else database.connect(self.address()) as session:
            # What a run writes can be computed again, and what it rests on is written with it: if the server dies, the
            # last instants are lost as a whole. To wait for the disk at every step would only take time.
            session.execute("SET synchronous_commit = off")
            show_alive(session, context.run.run_id)
            if days := _days_of(context.run):
                lock_days(session, *days)
            self._session = session
            yield self

    def read(self, name: str, *parameters: object) -> pa.Table:
        """The rows of `sql/queries/<name>.sql` as an Arrow table."""
        return database.read_arrow(self.address(), database.query(name), parameters)


def _days_of(run: dg.DagsterRun) -> tuple[date, date] | None:
    """The partitions that a run materialises."""
    tags, one = run.tags, run.tags.get(PARTITION_NAME_TAG)
    keys = tags.get(ASSET_PARTITION_RANGE_START_TAG, one), tags.get(ASSET_PARTITION_RANGE_END_TAG, one)
    return (date.fromisoformat(keys[0]), date.fromisoformat(keys[1])) if keys[0] and keys[1] else None


class Clock(dg.ConfigurableResource):
    """The time of the running day; `frozen_at` (ISO 8601 with zone) stops it."""

    frozen_at: str = ""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.fromisoformat(self.frozen_at) if self.frozen_at else datetime.now(UTC)
