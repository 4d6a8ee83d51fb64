"""The refused rows, as they are looked at; `quarantine` settles them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect, query


class QuarantineError(KnowDefeatError):
    """A row that is not there, is settled, or is still refused; the message says which and what to do."""

    page = "guides/correcting.md#refused-rows"


@dataclass(frozen=True)
class QuarantinedRow:
    """One refused row. `original`: column -> untouched text. `layout`: how the file was read. `status`: held, released
    or discarded; `note` and `settled_at` say how and when it was settled. `simulated`: it is the simulated fleet's."""

    quarantine_id: int
    source: str
    file_name: str
    row_number: int
    reason: str
    column_name: str | None
    message: str
    original: dict[str, str | None]
    layout: dict[str, Any]
    status: str
    note: str | None
    quarantined_at: datetime
    settled_at: datetime | None
    simulated: bool
    import_id: int | None


def list_rows(url: str, status: str | None = "held", limit: int = 50) -> list[QuarantinedRow]:
    """The first `limit` rows with that status (None: any), in the order in which they were refused."""
    with connect(url) as connection:
        return quarantined(connection, status, limit)


def quarantined(
    connection: psycopg.Connection, status: str | None, limit: int, *, reason: str | None = None, after: int = 0
) -> list[QuarantinedRow]:
    """Rows in the order in which they were refused: of a status, for a reason (None: any), with a higher number."""
    asked = {"status": status, "reason": reason, "limit": limit, "after": after}
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        return cursor.execute(query("trades/quarantine_list"), asked).fetchall()


def held_by_reason(connection: psycopg.Connection) -> dict[str, int]:
    """How many rows are held for each reason, the most frequent first."""
    return dict(
        connection.execute(
            "SELECT reason, count(*) FROM trade_quarantine WHERE status = 'held' GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
    )


def refused_of_import(connection: psycopg.Connection, import_id: int, limit: int) -> list[dict[str, Any]]:
    """The first rows of an import that were refused, whatever became of them since."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("trades/quarantine_of_import"), {"import_id": import_id, "limit": limit}).fetchall()


def show(url: str, quarantine_id: int) -> QuarantinedRow:
    """One row, whatever its status. Raises QuarantineError if there is none."""
    with connect(url) as connection:
        return find_row(connection, quarantine_id)


def find_row(connection: psycopg.Connection, quarantine_id: int, lock: bool = False) -> QuarantinedRow:
    """One row, whatever its status; `lock`: so that nobody else settles it meanwhile. Raises QuarantineError."""
    statement = query("trades/quarantine_show") + (" FOR UPDATE" if lock else "")
    with connection.cursor(row_factory=class_row(QuarantinedRow)) as cursor:
        row = cursor.execute(statement, {"quarantine_id": quarantine_id}).fetchone()
    if row is None:
        raise QuarantineError(f"There is no row {quarantine_id} in quarantine. List rows: knowdefeat quarantine list")
    return row
