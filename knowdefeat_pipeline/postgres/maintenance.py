"""Upkeep of the database: old events of Dagster's log go, and every table is vacuumed. Data is never deleted here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from knowdefeat_pipeline.postgres.connection import query

BATCH_ROWS = 5_000
LOCK_SECONDS = 5.0  # for which writing an index anew waits; whoever comes after it waits as long


class Purged(NamedTuple):
    """What one batch, or all of them together, deleted."""

    rows: int
    bytes: int


class TableSize(NamedTuple):
    """A table and its bytes on disk, with indexes."""

    schema: str
    table: str
    bytes: int


def purge_events(
    connection: psycopg.Connection, event_type: str | None, before: datetime, batch_rows: int = BATCH_ROWS
) -> Iterator[Purged]:
    """Delete the events of that type (None: log messages) of runs that ended before that instant, batch by batch.

    Events of no run, as the live listener reports them, go by their own time.
    Each batch is a transaction of its own: whoever stops between two of them loses nothing, and the next call goes on.
    """
    after, done = 0, False
    while not done:
        parameters = {"type": event_type, "before": before, "after": after, "rows": batch_rows}
        # Planned anew for each type: a common plan cannot use the index for both a type and none.
        [(rows, size, after, done)] = connection.execute(
            query("postgres/purge_events"), parameters, prepare=False
        ).fetchall()
        yield Purged(rows, size)


def ended_runs(connection: psycopg.Connection, run_ids: Sequence[str], before: datetime) -> set[str]:
    """Those of these runs that ended before that instant."""
    rows = connection.execute(query("postgres/ended_runs"), {"run_ids": [*run_ids], "before": before}).fetchall()
    return {run_id for (run_id,) in rows}


def purge_checks(connection: psycopg.Connection, before: datetime) -> int:
    """Delete results of checks that later ones replaced, of runs that ended before that instant or, where they belong
    to no run, from before it; how many."""
    return connection.execute(query("postgres/purge_checks"), {"before": before}).rowcount


def purge_runs(connection: psycopg.Connection, before: datetime) -> int:
    """Delete successful runs that ended before that instant and of which nothing else is left; how many."""
    return connection.execute(query("postgres/purge_runs"), {"before": before}).rowcount


def table_sizes(connection: psycopg.Connection) -> list[TableSize]:
    """Every table of ours and of Dagster's that we own, the largest first."""
    return [TableSize(*row) for row in connection.execute(query("postgres/table_sizes")).fetchall()]


def largest_tables(connection: psycopg.Connection, most: int) -> list[dict[str, Any]]:
    """The largest of our tables and Dagster's: `schema`, `table`, `bytes`, `rows` (about; None where nobody counted)
    and, beside each, the `database_bytes` of all."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("postgres/largest_tables"), {"most": most}).fetchall()


def vacuum(connection: psycopg.Connection, table: TableSize, seconds: float) -> None:
    """VACUUM (ANALYZE) one table; one that somebody has locked is left for the next time.

    Raises psycopg.errors.QueryCanceled when it takes longer than that.
    """
    with _within(connection, seconds):
        connection.execute(_of(table, "VACUUM (ANALYZE, SKIP_LOCKED) {}"))


def reindex(connection: psycopg.Connection, table: TableSize, seconds: float) -> bool:
    """Write the indexes of a table anew, which keep it waiting meanwhile; False where somebody has it locked.

    For tables whose rows come by time and go again but for some: VACUUM gives back a page of an index only once all of
    its rows are gone, and nothing new is put into the middle. Raises psycopg.errors.QueryCanceled.
    """
    try:
        with _within(connection, seconds), connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS * 1000:.0f}ms"])
            connection.execute(_of(table, "REINDEX TABLE {}"))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


def _of(table: TableSize, statement: LiteralString) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(table.schema, table.table))


@contextmanager
def _within(connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """Cancel the statement that takes longer."""
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds:.0f}s"])
    try:
        yield
    finally:
        connection.execute("RESET statement_timeout")
