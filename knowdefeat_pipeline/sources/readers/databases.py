"""SQLite databases, which may be those of a running program: they are read and never written, nor what lies beside.

No lock is taken that a program would notice. Where changes go to a log of their own first, a reader stands in nobody's
way. Where they do not, the file is read without a lock, and read again if it has changed meanwhile.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable
from knowdefeat_pipeline.sources.readers import values

WRITE_AHEAD = 2
"""What bytes 18 and 19 say where changes are written to a file of their own first."""
TRIES, PAUSE = 20, 0.05
"""How often a database that changes is read before that is an error, and the seconds in between."""

HEAD = 1_000
"""Rows that are read of a table that is none of those sought: they tell what it looks like."""

LONGEST, INSTRUCTIONS = 60.0, 100_000
"""Seconds of CPU that a reading may take, as a view may compute for ever; and the steps of SQLite's between two looks
at the time."""


class _ChangedError(Exception):
    """The file changed while it was read without a lock."""


def read_sqlite(path: Path, data: bytes | None, wanted: str | None, sought: values.Sought | None) -> RawTable:
    """One table or view of a database file, or of what was in a compressed one (`data`), and what is sought beside it,
    all as of one instant. Raises SourceError."""
    for _ in range(TRIES):
        try:
            with _opened(path, data) as connection:
                return _read(connection, wanted, sought)
        except _ChangedError:
            time.sleep(PAUSE)
        except sqlite3.Error as error:
            raise SourceError(
                f"the SQLite file cannot be read ({error}); copy it with its -wal file while its program stands still"
            ) from error
    raise SourceError(
        "the SQLite file is in the middle of a change (see the -journal file beside it); read a copy that its program "
        "made, or open and close it with that"
    )


def _read(connection: sqlite3.Connection, wanted: str | None, sought: values.Sought | None) -> RawTable:
    ends = time.thread_time() + LONGEST
    connection.set_progress_handler(lambda: time.thread_time() > ends, INSTRUCTIONS)
    connection.execute("PRAGMA trusted_schema = OFF")  # the file's own views may call no more than what is harmless
    try:
        return _chosen(connection, wanted, sought)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise SourceError(
            f"reading the SQLite file takes more than {LONGEST:g} seconds, as where a view of it never ends; export "
            "the table of trades alone"
        ) from error


def _chosen(connection: sqlite3.Connection, wanted: str | None, sought: values.Sought | None) -> RawTable:
    connection.execute("BEGIN")
    tables = _tables(connection)
    part = values.chosen("table", tables, wanted, sought)
    beside = [name for name in (sought.beside(tables[part]) if sought else ()) if name in tables]
    is_sought = sought is None or sought.rank(tables[part]) > 0
    table = _table(connection, part, None if is_sought else HEAD)
    return RawTable(
        table,
        np.arange(1, table.num_rows + 1),
        origin=Origin("SQLite", part=part),
        beside={name: _table(connection, name) for name in beside},
    )


def _table(connection: sqlite3.Connection, name: str, most: int | None = None) -> pa.Table:
    cursor = connection.execute(f"SELECT * FROM {_quoted(name)}")  # noqa: S608
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall() if most is None else cursor.fetchmany(most)
    columns: Sequence[Sequence[object]] = [*zip(*rows, strict=True)] or [()] * len(names)
    return values.table(names, columns)


@contextmanager
def _opened(path: Path, data: bytes | None) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises _ChangedError, once all is read, where the file changed meanwhile."""
    if data is not None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(_with_journal_of_its_own(data))
            yield connection
        return
    with path.open("rb") as file:
        head = file.read(20)
    has_log = _size(path, "-wal") > 0
    is_ahead = head[18:20] == bytes([WRITE_AHEAD] * 2)
    before = state(path)
    if not is_ahead and _size(path, "-journal"):
        raise _ChangedError
    mode = "mode=ro" if is_ahead and has_log else "mode=ro&immutable=1"  # a log that is not there would have to be made
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=5)) as connection:
        try:
            yield connection
        except sqlite3.Error as error:
            raise _ChangedError if state(path) != before else error from error
    if "immutable" in mode and state(path) != before:
        raise _ChangedError


def state(path: Path) -> tuple[int, ...]:
    """What changes when somebody writes to a database, or to any other file: the first number is when, in nanoseconds
    since 1970. Raises FileNotFoundError."""
    found = path.stat()
    size, changed = _beside(path, "-wal")
    return max(found.st_mtime_ns, changed), found.st_mtime_ns, found.st_size, size, changed, *_beside(path, "-journal")


def _size(path: Path, suffix: str) -> int:
    return _beside(path, suffix)[0]


def _beside(path: Path, suffix: str) -> tuple[int, int]:
    """Size and time of change of what lies beside a database, 0 where there is nothing."""
    try:
        found = path.with_name(f"{path.name}{suffix}").stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _with_journal_of_its_own(data: bytes) -> bytes:
    """A database in memory has no place for a log of changes; the compressed file holds all."""
    return data[:18] + b"\x01\x01" + data[20:] if data[18:20] == bytes([WRITE_AHEAD] * 2) else data


def _tables(connection: sqlite3.Connection) -> dict[str, Sequence[str]]:
    """The tables and views that have rows, and their columns."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY name"
    ).fetchall()
    tables: dict[str, Sequence[str]] = {}
    for (name,) in found:
        cursor = connection.execute(f"SELECT * FROM {_quoted(name)} LIMIT 1")  # noqa: S608
        columns = [column[0] for column in cursor.description]
        if cursor.fetchone() is not None:
            tables[str(name)] = columns
    return tables


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
