"""The live listener: hears of new trades at once and runs the refresh job in its own, warm process.

A notification only says when to look; what to do is read from the database, so that a missed one costs time and never a
trade. Runs are those of the same job in the same instance, and appear in the UI like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import psycopg
import sqlalchemy.exc
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from knowdefeat_pipeline.assets.catalogue import LIVE_TAG
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.tags import PRIORITY
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors.new_trades import chunk_end, retry_delay
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgresError
from knowdefeat_pipeline.store.staleness import CHANNEL, Pending, listener_lock, pending_days

SPACING = 1.0  # seconds between the beginnings of two runs
CATCH_UP = 10.0  # seconds after which it looks without having heard anything: days end, and signals get lost
RECONNECT = (1.0, 30.0)  # seconds: the first and the longest wait for a database that went away

# How the pipeline's connections and Dagster's say that the database went away.
AWAY = (psycopg.OperationalError, sqlalchemy.exc.OperationalError, DatabaseUnreachable, EmbeddedPostgresError)

Say = Callable[[str], None]


class AlreadyListening(KnowDefeatError):
    """Another live listener serves this database."""


@dataclass
class Listener:
    """One process's listener. `definitions` are loaded once; `say` hears of every run and trouble."""

    url: str
    definitions: dg.Definitions
    say: Say
    clock: Clock
    stop: Callable[[], bool] = lambda: False

    def run(self) -> None:
        """Listen until stopped. Raises AlreadyListening; a database that goes away is waited for."""
        wait = RECONNECT[0]
        while not self.stop():
            try:
                with open_instance() as instance, connect(self.url) as connection, listener_lock(connection) as alone:
                    if not alone:
                        raise AlreadyListening("A live listener runs already over this database.")
                    _end_orphans(instance)
                    connection.execute(f"LISTEN {CHANNEL}")
                    self.say("Listening for new trades.")
                    wait = RECONNECT[0]
                    self._serve(instance, connection)
            except AWAY as error:
                self.say(f"{str(error).strip().splitlines()[0]}\nTrying again in {wait:g} s.")
                time.sleep(wait)
                wait = min(2 * wait, RECONNECT[1])

    def _serve(self, instance: dg.DagsterInstance, connection: psycopg.Connection) -> None:
        began, failures = -SPACING, 0
        while not self.stop():
            found = pending_days(connection, self.clock.now())
            if not isinstance(found, Pending):
                for _ in connection.notifies(timeout=CATCH_UP, stop_after=1):
                    pass
                continue
            if (wait := began + SPACING - time.monotonic()) > 0:
                time.sleep(wait)
                found = pending_days(connection, self.clock.now())
            began = time.monotonic()
            try:
                self._refresh(instance, found)
                failures = 0
            except RunFailed as error:
                failures += 1
                delay = retry_delay(failures).total_seconds()
                self.say(f"{error}\nTrying again in {delay:g} s.")
                time.sleep(delay)

    def _refresh(self, instance: dg.DagsterInstance, found: object) -> None:
        if not isinstance(found, Pending):  # a run of the sensor was faster
            return
        begun, last = time.perf_counter(), chunk_end(found)
        refresh_days(self.definitions, instance, found.first, last, tags={LIVE_TAG: "true", PRIORITY: "10"})
        days = f"{found.first}" if found.first == last else f"{found.first} to {last}"
        now = datetime.now(UTC)
        self.say(f"{now:%H:%M:%S} {found.trades:,} trades, {days} refreshed in {time.perf_counter() - begun:.2f} s")


def _end_orphans(instance: dg.DagsterInstance) -> None:
    """Mark as failed the runs of a listener that was killed: who listens alone knows that nobody works on them."""
    unfinished = dg.RunsFilter(tags={LIVE_TAG: "true"}, statuses=NOT_FINISHED_STATUSES)
    for run in instance.get_runs(unfinished):
        instance.report_run_failed(
            run, "The live listener that executed this run was killed; the next run does its work."
        )


def live_definitions(url: str, build: Callable[..., dg.Definitions]) -> dg.Definitions:
    """Definitions whose runs hold the window's trades in this process, loaded and resolved."""
    definitions = build({"database": Database(url=url, warm=True)})
    definitions.resolve_job_def("refresh")
    return definitions
