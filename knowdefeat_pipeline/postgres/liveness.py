"""Which runs are alive. A run's process holds a lock of the database, which ends with the process whatever ends it.

So no run is known by host or process number, which may be used again, and any process on any host can ask.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from knowdefeat_pipeline.postgres.connection import query

SILENT_SECONDS = (
    30  # a run that was heard of so recently lives: its lock is taken after its start, and freed before its end
)
HEARTBEAT_SECONDS = 120  # a daemon notes a heartbeat every 30 s
STARTED = ("STARTED", "CANCELING")  # the states of Dagster's in which a process works on a run


def show_alive(connection: psycopg.Connection, run_id: str) -> None:
    """Let the run count as alive for as long as this session lasts."""
    connection.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", (run_id,))


def is_alive(connection: psycopg.Connection, run_id: str) -> bool:
    """Whether a process works on a run that has started."""
    about = {"run": run_id, "silent": SILENT_SECONDS}
    ((is_free, was_heard),) = connection.execute(query("postgres/run_is_alive"), about).fetchall()
    return was_heard or not is_free


def daemon_is_alive(connection: psycopg.Connection) -> bool:
    """Whether a Dagster daemon that runs sensors was heard of lately."""
    if not _is_there(connection, "daemon_heartbeats"):
        return False
    beat = (
        "SELECT FROM dagster.daemon_heartbeats WHERE daemon_type = 'SENSOR'"
        " AND timestamp > clock_timestamp() AT TIME ZONE 'UTC' - %s * interval '1 second'"
    )
    return connection.execute(beat, (HEARTBEAT_SECONDS,)).fetchone() is not None


def last_runs(connection: psycopg.Connection, most: int) -> list[dict[str, Any]]:
    """The last so many of Dagster's runs and all that have not ended, the latest first: `run_id`, `job`, `status` as
    Dagster has it, `requested_at`, `started_at`, `ended_at`."""
    return _rows(connection, "runs", "postgres/last_runs", {"most": most})


def dead_runs(connection: psycopg.Connection) -> list[str]:
    """The runs that Dagster takes for started and whose process is gone, the oldest first."""
    started = [run["run_id"] for run in last_runs(connection, 0) if run["status"] in STARTED]
    return [run for run in reversed(started) if not is_alive(connection, run)]


def failed_checks(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """The checks of assets that failed when they were last made: `asset`, `name`, `run_id` (empty: made by no run) and
    `checked_at`."""
    return _rows(connection, "asset_check_executions", "postgres/failed_checks", {})


def _rows(connection: psycopg.Connection, table: str, name: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    if not _is_there(connection, table):
        return []
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query(name), asked).fetchall()


def _is_there(connection: psycopg.Connection, table: str) -> bool:
    """Whether Dagster has made the table, and we may read it."""
    found = "SELECT CASE WHEN has_schema_privilege(to_regnamespace('dagster'), 'USAGE') THEN to_regclass(%s) END"
    return connection.execute(found, (f"dagster.{table}",)).fetchone() != (None,)
