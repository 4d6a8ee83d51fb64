"""Dagster's own storage, in the same PostgreSQL as the data (schema `dagster`), and its local files, in our home.

`dagster.yaml` names these classes, so that stock `dagster` and `dagster-daemon` find the database as `knowdefeat` does:
the one of KNOWDEFEAT_DATABASE_URL, else the embedded one, which is started if it does not run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

import click
import dagster as dg
import psycopg

# What a run launcher answers to Dagster's run monitoring: the monitoring is documented, its types are private.
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

# The folder of each is an entry of dagster.yaml, which knows no default that depends on KNOWDEFEAT_HOME.
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster_postgres import DagsterPostgresStorage
from psycopg import sql

from knowdefeat_pipeline.automation.dagster_internals.event_log import EventLog, Runs, is_supported
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.postgres.liveness import is_alive
from knowdefeat_pipeline.settings import ROOT, Settings, make_private

if TYPE_CHECKING:  # how dagster.yaml makes an object of a class: documented for classes of one's own, its types private
    from dagster._config.config_schema import UserConfigSchema
    from dagster._core.storage.event_log import EventLogStorage
    from dagster._core.storage.runs import RunStorage
    from dagster._serdes import ConfigurableClassData

SCHEMA = "dagster"
STATEMENT_TIMEOUT_MS = 10 * 60 * 1000
POOL_RECYCLE_SECONDS = 3600
SESSION = ("-csynchronous_commit=off", "-cidle_session_timeout=0")
MAX_OVERFLOW = 20


def dagster_url(settings: Settings) -> str:
    """The database's URL with `dagster` as the search path; the schema is created if it is missing."""
    url = database_url(settings)
    with connect(url) as connection:
        _ensure_schema(connection)
    url = url.replace("postgresql://", "postgresql+psycopg2://", 1)  # NOTIFY with parameters fails on psycopg 3
    place, _, options_given = url.partition("?")
    given = parse_qs(options_given, keep_blank_values=True)
    # Connections are kept open, so that a server which ends idle sessions must leave them alone.
    # A run is some sixty transactions of bookkeeping, and waiting for the disk in each would be most of a short run's
    # time. If the server dies the last third of a second of it may be lost; results are written by other connections.
    # The URL's own options come first, so that ours hold where they speak of the same.
    options = " ".join([*given.pop("options", []), f"-csearch_path={SCHEMA}", *SESSION])
    return f"{place}?{urlencode({**given, 'options': options}, doseq=True, quote_via=quote)}"


def _ensure_schema(connection: psycopg.Connection) -> None:
    """Make the schema where it is missing: `IF NOT EXISTS` asks for the right to make one even where it is there."""
    if connection.execute("SELECT to_regnamespace(%s)", (SCHEMA,)).fetchone() == (None,):
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


STOCK_WEBSERVER = "dagster_webserver.cli"  # the module of the command; the guarded program does without
UNGUARDED = (
    "Dagster's own web server lets any web page that you visit start runs and read the answers, so it is not given the "
    "database. The same UI behind a guard: knowdefeat up, or, by itself: "
    "python -m knowdefeat_pipeline.web.dagster_ui --port 3000"
)


def refuse_unguarded() -> None:
    """Raise ClickException, which that program shows as a sentence, where this process is `dagster-webserver`, also as
    `dagster dev` begins it."""
    if STOCK_WEBSERVER in sys.modules:
        raise click.ClickException(UNGUARDED)


COMPLETE = "Dagster's tables, all of them"
_SCHEMA_LOCK = int.from_bytes(b"kdagster", "big")  # the advisory lock of whoever makes the schema


@contextmanager
def whole_schema(settings: Settings) -> Iterator[None]:
    """Dagster makes its tables meanwhile, all of them or, as far as anybody will see, none.

    It makes them one by one and, if it is killed half-way, never those that are missing. Whether all are there is noted
    on the schema; one without that note and without a run is made anew.
    """
    with connect(database_url(settings)) as connection:
        noted = "SELECT obj_description(oid) FROM pg_namespace WHERE nspname = %s"
        if connection.execute(noted, (SCHEMA,)).fetchone() == (COMPLETE,):
            yield
            return
        advisory.take(connection, _SCHEMA_LOCK, "the making of Dagster's tables", for_session=True)
        if connection.execute(noted, (SCHEMA,)).fetchone() != (COMPLETE,) and not _any_run(connection):
            connection.execute(query("postgres/empty_dagster"))
            _ensure_schema(connection)
        yield
        connection.execute(query("postgres/show_dagster"))
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(sql.Identifier(SCHEMA), sql.Literal(COMPLETE)))


def _any_run(connection: psycopg.Connection) -> bool:
    if connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.runs",)).fetchone() == (None,):
        return False
    return connection.execute(f"SELECT FROM {SCHEMA}.runs LIMIT 1").fetchone() is not None


class Storage(DagsterPostgresStorage):
    """Runs, events and schedules in the `dagster` schema of our database, over connections that are kept open.

    Without a pool, which only the stock web server asks for, every statement opens a connection of its own: a run of 90
    days takes twice as long. Where a version of Dagster lacks what this takes, the stock storage serves.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._own_event_log: EventLog | None = None
        self._own_runs: Runs | None = None
        if not is_supported():
            return
        self._own_event_log, self._own_runs = EventLog(postgres_url), Runs(postgres_url)
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            storage.optimize_for_webserver(
                statement_timeout=STATEMENT_TIMEOUT_MS, pool_recycle=POOL_RECYCLE_SECONDS, max_overflow=MAX_OVERFLOW
            )

    @property
    def run_storage(self) -> RunStorage:
        return self._own_runs or super().run_storage

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self._own_event_log or super().event_log_storage

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Storage:
        refuse_unguarded()
        # Events come one per day and asset. One by one they make a run of 90 days take 12.4 s, in batches 7.1 s. To set
        # this variable is the only way to have batches, and this the place where every process that writes events, also
        # one that Dagster starts for a run, comes by before the first of them.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
        settings = Settings.from_environment()
        with whole_schema(settings):
            return cls(dagster_url(settings), inst_data=inst_data)


class HomeArtifacts(LocalArtifactStorage):
    """Dagster's local files under `KNOWDEFEAT_HOME/dagster`."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> HomeArtifacts:
        folder = Settings.from_environment().home / "dagster"
        make_private(folder)
        return cls(str(folder), inst_data)


class HomeLogs(LocalComputeLogManager):
    """What steps print, under `KNOWDEFEAT_HOME/dagster/logs`."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> HomeLogs:
        folder = logs_folder(Settings.from_environment())
        make_private(folder)
        return cls(str(folder), inst_data=inst_data)


def logs_folder(settings: Settings) -> Path:
    """Where what steps print is kept, in a folder per run."""
    return settings.home / "dagster" / "logs"


class Launcher(dg.DefaultRunLauncher):
    """The stock launcher, which also tells Dagster's run monitoring whether a run's process lives, whoever started it.

    Without that a run whose process was killed would count as started for ever, and hold its place in the queue.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        with connect(database_url(Settings.from_environment())) as connection:
            if is_alive(connection, run.run_id):
                return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, "The run's process exited without a result (killed or crashed)."
        )


def open_instance() -> dg.DagsterInstance:
    """The instance that `dagster.yaml` describes."""
    os.environ["DAGSTER_HOME"] = str(ROOT)
    return dg.DagsterInstance.get()
