"""Imports: taking in what was read, what was taken in, and undoing it.

Undoing leaves what would be there without the import: its trades go, unless another import has them just so, and those
that it moved on or replaced are again what was said of them before. The days that they touch become stale. (Of files
that contradict each other, and of which none was loaded as corrections, the one whose trade is recorded holds; when it
is undone, one that repeats it comes before one that was held because of it.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.locks import lock_every_day
from knowdefeat_pipeline.store.quarantine import discard_of_import, release_again, release_corrected
from knowdefeat_pipeline.store.simulation import forget_bots, forget_days, forget_late_days
from knowdefeat_pipeline.store.trades import LoadReport, load, lock_loads


class UndoError(KnowDefeatError):
    """An import that is not there, or was undone already; the message says which and what to do."""


@dataclass(frozen=True)
class Import:
    """One file or batch that was taken in. Counts are of its rows; `held`: those that are in quarantine still.

    `content_hash`: SHA-256 of the file, None for what was none. `layout`: how it was read. `undone_at`, `undone_by`:
    None while it counts.
    """

    import_id: int
    source: str
    file_name: str
    content_hash: str | None
    layout: dict[str, Any]
    author: str
    rows_read: int
    inserted: int
    updated: int
    replaced: int
    unchanged: int
    quarantined: int
    notes: list[str]
    imported_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    held: int


@dataclass(frozen=True)
class Undone:
    """What became of the trades of an import that was undone: `removed`, `restored` to what was said before, or `kept`
    because another import has them too, by import in `heirs`; and the rows that could be recorded now that they are
    gone (`released`)."""

    import_id: int
    removed: int
    restored: int
    kept: int
    discarded: int
    released: int
    heirs: dict[int, int] = field(default_factory=dict)


def take_in(
    connection: psycopg.Connection,
    reading: Reading,
    file_name: str,
    *,
    replaces: bool = False,
    author: str = "manual",
    content_hash: str | None = None,
) -> LoadReport:
    """Record a reading as an import (see `trades.load`). Where it `replaces`, rows that had been held and that it has
    recorded are settled. Raises psycopg.Error."""
    report = load(connection, reading, file_name, replaces=replaces, author=author, content_hash=content_hash)
    if replaces:
        release_corrected(connection, reading.source, report.import_id, clock.now(connection))
    return report


def list_imports(url: str, limit: int = 50) -> list[Import]:
    """The last imports, the latest first."""
    with connect(url) as connection:
        return imports(connection, limit)


def imports(connection: psycopg.Connection, limit: int, before: int | None = None) -> list[Import]:
    """Imports, the latest first; `before`: those with a lower number."""
    return _imports(connection, None, limit, before)


def show_import(url: str, import_id: int) -> Import:
    """One import. Raises UndoError if there is none."""
    with connect(url) as connection:
        return find_import(connection, import_id)


def _imports(
    connection: psycopg.Connection, import_id: int | None, limit: int, before: int | None = None
) -> list[Import]:
    asked = {"import_id": import_id, "limit": limit, "before": before}
    with connection.cursor(row_factory=class_row(Import)) as cursor:
        return cursor.execute(query("trades/imports_list"), asked).fetchall()


def find_import(connection: psycopg.Connection, import_id: int) -> Import:
    """One import. Raises UndoError if there is none."""
    found = _imports(connection, import_id, 1)
    if not found:
        raise UndoError(f"There is no import {import_id}. List them: knowdefeat imports list")
    return found[0]


def undo_import(url: str, import_id: int, author: str, now: datetime) -> Undone:
    """Take an import back in one transaction. Raises UndoError for one that is not there or was undone.

    A refresh that was under way may still have written days that are no more: they are forgotten once it has ended.
    """
    with connect(url) as connection:
        with connection.transaction():
            undone, since = _undo(connection, import_id, author, now)
        if since is not None:
            forget_late_days(connection, since, now.date())
    return undone


def _undo(connection: psycopg.Connection, import_id: int, author: str, now: datetime) -> tuple[Undone, date | None]:
    """What became of the import, and the first day that its trades were of, None where none went."""
    lock_loads(connection)
    lock_every_day(connection)
    found = find_import(connection, import_id)
    if found.undone_at is not None:
        at = f"{found.undone_at:%Y-%m-%d %H:%M:%S} UTC"
        raise UndoError(f"Import {import_id} was undone already, at {at} by {found.undone_by}")
    connection.execute(
        "UPDATE imports SET undone_at = clock_timestamp(), undone_by = %s WHERE import_id = %s", [author, import_id]
    )
    ((since,),) = connection.execute(
        "SELECT least(min(day_of(entry_time)), min(day_of(exit_time))) FROM trades WHERE import_id = %s", [import_id]
    ).fetchall()
    heirs, removed, restored = _take_back(connection, import_id)
    discarded = discard_of_import(connection, import_id, now)
    _forget_what_rested_on_it(connection)
    released = release_again(connection, found.source, f"import {import_id} was undone", now)
    return Undone(import_id, removed, restored, sum(heirs.values()), discarded, released, heirs), since


def _take_back(connection: psycopg.Connection, import_id: int) -> tuple[dict[int, int], int, int]:
    """How many trades stay, by the import whose they are now, and how many go, and are what they were before."""
    about = {"import_id": import_id}
    connection.execute(query("trades/undo_leaving"), about)
    connection.execute(query("trades/undo_inherit"))
    heirs = connection.execute(
        "SELECT heir, count(*) FROM leaving WHERE heir IS NOT NULL GROUP BY heir ORDER BY heir"
    ).fetchall()
    connection.execute(query("trades/undo_revisions"), about)
    connection.execute(query("trades/undo_contents"))
    connection.execute(query("trades/keep_positions"))
    left = connection.execute(
        "DELETE FROM trades t USING leaving l WHERE t.trade_id = l.trade_id AND l.heir IS NULL"
    ).rowcount
    connection.execute("SELECT set_config('knowdefeat.marked_at', 'known', true)")
    restored = connection.execute(query("trades/write_contents")).rowcount
    connection.execute("SELECT set_config('knowdefeat.marked_at', '', true)")
    connection.execute(query("trades/return_positions"))
    connection.execute(query("trades/undo_marks"))
    connection.execute(query("trades/undo_positions"), about)
    return dict(heirs), left - restored, restored


def _forget_what_rested_on_it(connection: psycopg.Connection) -> None:
    """Bots of which nothing but the import spoke go, with their results, and days on which nothing else had closed."""
    connection.execute(query("trades/undo_bots"))
    forget_bots(connection)
    forget_days(connection)
