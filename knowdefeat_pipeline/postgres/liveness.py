"""Which runs are alive. A run's process holds a lock of the database, which ends with the process whatever ends it.

So no run is known by host or process number, which may be used again, and any process on any host can ask.
"""

from __future__ import annotations

import psycopg

SILENT_SECONDS = (
    30  # a run that was heard of so recently lives: its lock is taken after its start, and freed before its end
)


def show_alive(connection: psycopg.Connection, run_id: str) -> None:
    """Let the run count as alive for as long as this session lasts."""
    connection.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", (run_id,))


def is_alive(connection: psycopg.Connection, run_id: str) -> bool:
    """Whether a process works on a run that has started."""
    ((free, heard),) = connection.execute(
        "SELECT pg_try_advisory_xact_lock(hashtextextended(%(run)s, 0)),"
        " EXISTS (SELECT FROM dagster.event_logs WHERE run_id = %(run)s"
        " AND timestamp > clock_timestamp() AT TIME ZONE 'UTC' - %(silent)s * interval '1 second')",
        {"run": run_id, "silent": SILENT_SECONDS},
    ).fetchall()
    return heard or not free
