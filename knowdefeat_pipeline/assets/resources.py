"""What assets are given: the database and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import dagster as dg
import psycopg
from pydantic import PrivateAttr

from knowdefeat_pipeline.assets.tags import covered_range
from knowdefeat_pipeline.postgres import clock, leases
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.identity import require_own
from knowdefeat_pipeline.postgres.liveness import show_alive
from knowdefeat_pipeline.scale.workers import Workers, unheard
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.locks import days_locked
from knowdefeat_pipeline.store.session import Session


class Database(dg.ConfigurableResource["Database"]):
    """The database of KNOWDEFEAT_DATABASE_URL, or the embedded one.

    It has no configuration: whoever may start a run, with whatever config, must not choose where it writes.
    """

    _resolved: str = PrivateAttr(default="")
    _session: Session | None = PrivateAttr(default=None)

    def address(self) -> str:
        """The URL, found once per process and run."""
        if not self._resolved:
            self._resolved = self._find()
        return self._resolved

    def _find(self) -> str:
        return database_url(Settings.from_environment())

    @property
    def session(self) -> Session:
        """The run's session, which its steps share."""
        if self._session is None:
            raise RuntimeError("a session lasts as long as its run, and no run goes on here")
        return self._session

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode of its own, closed at the end: for sensors."""
        with connect(self.address()) as connection:
            yield connection

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Database]:
        """A run shows that it lives, and has its days to itself: another one over them waits until it is over."""
        if context.run is None:
            yield self
            return
        with ExitStack() as stack:
            require_own(self.address())
            connection = stack.enter_context(connect(self.address()))
            # What a run writes can be computed again, and what it rests on is written with it: if the server dies, the
            # last instants are lost as a whole. To wait for the disk at every step would only take time.
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET idle_session_timeout = 0")  # while a step computes, its session waits
            stack.enter_context(leases.leased(self.address(), connection, leases.LEASE))
            show_alive(connection, context.run.run_id)
            if days := covered_range(context.run.tags):
                stack.enter_context(days_locked(connection, *days))
            workers = Workers.of(Settings.from_environment(), context.log.info if context.log else unheard)
            self._session = Session(self.address(), connection, workers=workers)
            stack.callback(self._session.unstage)
            yield self


class Clock(dg.ConfigurableResource["Clock"]):
    """The time of the running day: the database's, whatever the clock of this machine shows.

    Trades are recorded by that clock; by one that is behind, they would close in the future and wait uncounted. It has
    no configuration, as the database has none.
    """

    def now(self, connection: psycopg.Connection) -> datetime:
        """The current instant, UTC."""
        return clock.now(connection)


class DatabaseAt(Database):
    """Another database: for tests and benchmarks, never in definitions that users launch."""

    url: str

    def _find(self) -> str:
        return self.url


class StoppedClock(Clock):
    """A clock that stands at `at` (ISO 8601 with zone): for tests and benchmarks, as DatabaseAt."""

    at: str

    def now(self, connection: psycopg.Connection) -> datetime:
        """That instant."""
        return datetime.fromisoformat(self.at)
