"""Which runs are alive. A run's process holds a lock of the database, which ends with the process whatever ends it.

So no run is known by host or process number, which may be used again, and any process on any host can ask.
"""

from __future__ import annotations

import psycopg

from knowdefeat_pipeline.postgres.connection import query

SILENT_SECONDS = (
    30  # a run that was heard of so recently lives: its lock is taken after its start, and freed before its end
)
HEARTBEAT_SECONDS = 120  # a daemon notes a heartbeat every 30 s


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
    if connection.execute("SELECT to_regclass('dagster.daemon_heartbeats')").fetchone() == (None,):
        return False
    beat = (
        "SELECT FROM dagster.daemon_heartbeats WHERE daemon_type = 'SENSOR'"
        " AND timestamp > clock_timestamp() AT TIME ZONE 'UTC' - %s * interval '1 second'"
    )
    return connection.execute(beat, (HEARTBEAT_SECONDS,)).fetchone() is not None


def dead_runs(connection: psycopg.Connection) -> list[str]:
    """The runs that Dagster takes for started and whose process is gone, the oldest first."""
    if connection.execute("SELECT to_regclass('dagster.runs')").fetchone() == (None,):
        return []
    started = "SELECT run_id FROM dagster.runs WHERE status IN ('STARTED', 'CANCELING') ORDER BY id"
    return [run for (run,) in connection.execute(started).fetchall() if not is_alive(connection, run)]
