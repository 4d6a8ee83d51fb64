"""What was taken in, as it is looked at; `imports` takes in and undoes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect, query


class UndoError(KnowDefeatError):
    """An import that is not there, or was undone already; the message says which and what to do."""

    page = "guides/correcting.md#imports"


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
