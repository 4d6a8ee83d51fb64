"""SQLite databases, which may be those of a running program: they are read and never written, nor what lies beside."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable
from knowdefeat_pipeline.sources.readers import values

WRITE_AHEAD = 2
"""What bytes 18 and 19 say where changes are written to a file of their own first."""


def read_sqlite(path: Path, data: bytes | None, wanted: str | None, fits: values.Fits | None) -> RawTable:
    """One table or view of a database file, or of what was in a compressed one (`data`). Raises SourceError."""
    try:
        with _opened(path, data) as connection:
            part = values.chosen("table", _tables(connection), wanted, fits)
            cursor = connection.execute(f"SELECT * FROM {_quoted(part)}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise SourceError(
            f"the SQLite file cannot be read ({error}); copy it with its -wal file while its program stands still"
        ) from error
    columns: Sequence[Sequence[object]] = [*zip(*rows, strict=True)] or [()] * len(names)
    return RawTable(values.table(names, columns), np.arange(1, len(rows) + 1), origin=Origin("SQLite", part=part))


@contextmanager
def _opened(path: Path, data: bytes | None) -> Iterator[sqlite3.Connection]:
    if data is not None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(_with_journal_of_its_own(data))
            yield connection
        return
    with path.open("rb") as file:
        head = file.read(20)
    log = path.with_name(f"{path.name}-wal")
    whole = head[18:20] == bytes([WRITE_AHEAD] * 2) and not (log.exists() and log.stat().st_size)
    mode = "mode=ro&immutable=1" if whole else "mode=ro"  # a log that is not there would have to be made
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=5)) as connection:
        yield connection


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
