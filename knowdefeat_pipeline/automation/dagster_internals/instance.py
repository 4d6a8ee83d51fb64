"""Dagster's own storage, in the same PostgreSQL as the data (schema `dagster`), and its local files, in our home.

`dagster.yaml` names these classes, so that stock `dagster-webserver` and `dagster-daemon` find the database as
`knowdefeat` does: the one of KNOWDEFEAT_DATABASE_URL, else the embedded one, which is started if it does not run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage

from knowdefeat_pipeline.automation.dagster_internals.event_log import EventLog, RunStorage
from knowdefeat_pipeline.postgres.connection import connect, database_url
from knowdefeat_pipeline.postgres.liveness import is_alive
from knowdefeat_pipeline.settings import ROOT, Settings

SCHEMA = "dagster"
STATEMENT_TIMEOUT_MS = 10 * 60 * 1000
POOL_RECYCLE_SECONDS = 3600
MAX_OVERFLOW = 20

# A range of days is one event per day and asset: written one by one they cost more than the work itself.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")


def dagster_url(settings: Settings) -> str:
    """The database's URL with `dagster` as the search path; the schema is created if it is missing."""
    url = database_url(settings)
    with connect(url) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    url = url.replace("postgresql://", "postgresql+psycopg2://", 1)  # NOTIFY with parameters fails on psycopg 3
    separator = "&" if "?" in url else "?"
    # A run is some sixty transactions of bookkeeping, and waiting for the disk in each would be most of a short run's
    # time. If the server dies the last third of a second of it may be lost; results are written by other connections.
    return f"{url}{separator}options={quote(f'-csearch_path={SCHEMA} -csynchronous_commit=off')}"


class Storage(DagsterPostgresStorage):
    """Runs, events and schedules in the `dagster` schema of our database, over connections that are kept open.

    Without a pool every statement opens a connection of its own, which is half of a run's bookkeeping.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.postgres_url, self.should_autocreate_tables, self._inst_data = postgres_url, True, inst_data
        self._run_storage = RunStorage(postgres_url)
        self._event_log_storage = EventLog(postgres_url)
        self._schedule_storage = PostgresScheduleStorage(postgres_url)
        DagsterStorage.__init__(self)  # type: ignore[arg-type]  # the stock class would open the stock storages first
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            storage.optimize_for_webserver(
                statement_timeout=STATEMENT_TIMEOUT_MS, pool_recycle=POOL_RECYCLE_SECONDS, max_overflow=MAX_OVERFLOW
            )

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Storage:
        return cls(dagster_url(Settings.from_environment()), inst_data=inst_data)


class HomeArtifacts(LocalArtifactStorage):
    """Dagster's local files under `KNOWDEFEAT_HOME/dagster`."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> HomeArtifacts:
        return cls(str(Settings.from_environment().home / "dagster"), inst_data)


class HomeLogs(LocalComputeLogManager):
    """What steps print, under `KNOWDEFEAT_HOME/dagster/logs`."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> HomeLogs:
        return cls(str(logs_folder(Settings.from_environment())), inst_data=inst_data)


def logs_folder(settings: Settings) -> Path:
    """Where what steps print is kept, in a folder per run."""
    return settings.home / "dagster" / "logs"


class Launcher(DefaultRunLauncher):
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
        return CheckRunHealthResult(WorkerStatus.FAILED, "The run's process ended without a word: killed, or a crash.")


def tune_for_short_runs(instance: dg.DagsterInstance) -> None:
    """Let runs of this process do without what would cost a run of a fraction of a second half of its time."""
    instance._compute_log_manager = NoOpComputeLogManager()  # what they print goes nowhere
    if isinstance(instance.event_log_storage, EventLog):
        instance.event_log_storage.short_runs = True


def open_instance() -> dg.DagsterInstance:
    """The instance that `dagster.yaml` describes."""
    os.environ["DAGSTER_HOME"] = str(ROOT)
    return dg.DagsterInstance.get()
