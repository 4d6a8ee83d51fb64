"""The live listener: hears of new trades at once and computes what they touch in its own, warm process.

A notification only says when to look; what to do is read from the database, so that a missed one costs time and never
a trade. Each batch is one transaction of the chain's steps, checks included: one that fails publishes nothing and is
left to the sensor, whose run shows the failure with its log. Dagster hears of batches by reports, not by runs (see
`LiveReport`): one run a second would be 86,400 runs and 4 GB of event log a day.

Of several listeners over one database one leads: it holds a lock and renews a lease, by the database's clock. A standby
on another host looks every half second, ends the session of a leader whose lease is over, and leads. Whoever was put
out so can commit nothing more: its session is gone, whatever it believes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import adbc_driver_manager as adbc
import psycopg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.automation.live_report import LiveReport
from knowdefeat_pipeline.automation.pulse import Pulse
from knowdefeat_pipeline.automation.sensors.requests import retry_delay
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import leases
from knowdefeat_pipeline.postgres.advisory import told
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect
from knowdefeat_pipeline.postgres.identity import require_own
from knowdefeat_pipeline.postgres.remedies import with_remedy
from knowdefeat_pipeline.postgres.server import EmbeddedPostgresError
from knowdefeat_pipeline.steps.chain import refresh_locked
from knowdefeat_pipeline.steps.outcome import CheckFailed
from knowdefeat_pipeline.store.locks import (
    days_locked,
    listener_holders,
    listener_is_there,
    listener_lock,
)
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import (
    CHANNEL,
    RANKING,
    Staleness,
    settle,
    stale_days,
)

SPACING = 1.0  # seconds between the beginnings of two batches
CATCH_UP = 10.0  # seconds after which it looks without having heard anything: days end, and signals get lost
STANDBY = 0.5  # seconds between two looks of a standby
RECONNECT = (1.0, 30.0)  # seconds: the first and the longest wait for a database that is away

# How connections say that the database is away.
AWAY = (psycopg.OperationalError, adbc.OperationalError, DatabaseUnreachable, EmbeddedPostgresError)
# How a batch fails: results that contradict each other, data that a step refuses, a statement that the database does.
FAILED = (CheckFailed, ValueError, psycopg.Error, adbc.Error)


ALREADY = (
    "A live listener runs already over this database. Stop that one first, or start this one as its standby: "
    "knowdefeat live --standby"
)


class AlreadyListening(KnowDefeatError):
    """Another live listener serves this database."""

    page = "guides/live.md"


@dataclass
class Listener:
    """One process's listener.

    `now` tells the time (see `Clock`), `say` hears of every batch and trouble, `report` tells Dagster. `standby`: while
    another one leads it waits, and leads after that one.
    """

    url: str
    calendar: Calendar
    now: Callable[[psycopg.Connection], datetime]
    say: Callable[[str], None]
    report: LiveReport
    stop: Callable[[], bool] = lambda: False
    standby: bool = False
    pulse: Pulse = field(default_factory=Pulse)

    def run(self) -> None:
        """Listen until stopped. Raises AlreadyListening, a standby never; a database that is away is waited for."""
        wait = RECONNECT[0]
        while not self.stop():
            try:
                require_own(self.url)  # at every connection: another server may answer than the last time
                with connect(self.url) as connection, listener_lock(connection) as alone:
                    if not alone:
                        self._stand_by(connection)
                        continue
                    # Memory ends with the session: see `Memory`.
                    session = Session(self.url, _prepared(connection), Memory(self.url))
                    self.say("Listening for new trades.")
                    wait = RECONNECT[0]
                    with leases.leased(self.url, connection, leases.LISTENER_LEASE):
                        self._serve(session)
            except AWAY as error:
                self.pulse.beat("waiting for the database")
                self.say(f"{with_remedy(error)}\nTrying again in {wait:g} s.")
                time.sleep(wait)
                wait = min(2 * wait, RECONNECT[1])

    def _stand_by(self, connection: psycopg.Connection) -> None:
        """Return once nobody leads; who does is told where it is another one."""
        leader = told(listener_holders(connection))
        if not self.standby:
            raise AlreadyListening(f"{ALREADY} It is {leader}.")
        self.say(f"Standing by. The live listener is {leader or 'just ending'}.")
        while not self.stop() and listener_is_there(connection):
            self.pulse.beat("standing by")
            time.sleep(STANDBY)
            leases.dismiss(connection)

    def _serve(self, session: Session) -> None:
        began, failures = -SPACING, 0
        while not self.stop():
            self.pulse.beat("listening")
            found = self._look(session)
            if not found:
                self.report.send_if_due(self.say)
                _hear(session.connection, min(CATCH_UP, self.report.due_in()))
                continue
            if (wait := began + SPACING - time.monotonic()) > 0:
                time.sleep(wait)
                found = self._look(session)
            began = time.monotonic()
            try:
                self._compute(session, found)
                failures = 0
            except AWAY:
                raise
            except FAILED as error:
                failures += 1
                delay = retry_delay(failures).total_seconds()
                left = "Nothing was published; the sensor new_trades takes over."
                self.say(f"{with_remedy(error)}\n{left} Looking again in {delay:g} s.")
                time.sleep(delay)

    def _look(self, session: Session) -> Staleness:
        found = stale_days(session.connection, RANKING, self.now(session.connection), self.calendar.first_day)
        settle(session.connection, found)
        return found

    def _compute(self, session: Session, found: Staleness) -> None:
        if not found:  # a run of the sensor was faster
            return
        begun, (first, last) = time.perf_counter(), found.part(self.calendar.chunk_days)
        with days_locked(session.connection, first, last) as waited:
            # Whoever held the days has computed some of them, or taken some away.
            if first < last or waited:
                before, found = found, self._look(session)
                if found.days != before.days:
                    return
            results = refresh_locked(session, first, last, found.as_of)
        now = self.now(session.connection)
        seconds = time.perf_counter() - begun
        self.report.add(results, found.trades, (now - found.since).total_seconds() if found.since else seconds)
        days = f"{first}" if first == last else f"{first} to {last}"
        self.say(f"{now:%H:%M:%S} {counted(found.trades, 'trade')}, {days} refreshed in {seconds:.2f} s")
        self.report.send_if_due(self.say)


def _prepared(connection: psycopg.Connection) -> psycopg.Connection:
    """The session, listening, and without a wait for the disk at every step (see `Database`)."""
    # Parsed once; yet planned anew each time: a plan kept for all days knows nothing of the few rows of the last one.
    connection.prepare_threshold = 2
    connection.execute("SET plan_cache_mode = force_custom_plan")
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET idle_session_timeout = 0")  # between two trades it only listens
    connection.execute(f"LISTEN {CHANNEL}")
    return connection


def _hear(connection: psycopg.Connection, timeout: float) -> None:
    """Wait for a notification, at most so many seconds."""
    with suppress(StopIteration):
        next(connection.notifies(timeout=timeout, stop_after=1))
