"""A file that holds a database at one instant: every table as PostgreSQL's own text, and a manifest that counts it all.

It is a ZIP: `tables/NAME` and `dagster/NAME` hold what COPY gave out, `manifest.json`, written last, how many rows each
has and their SHA-256. It goes over the driver alone, so any server will do that we can connect to, by TLS or a pooler,
and any version of PostgreSQL reads what any other wrote. Our tables are made by our migrations, Dagster's by the
statements in the manifest, as Dagster makes and changes them itself. Tables are streamed: memory does not grow with
them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import catalogue
from knowdefeat_pipeline.postgres.catalogue import DAGSTER, Table, identifier
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.postgres.identity import Server

FORMAT = "knowdefeat-archive"
VERSION = 1
MANIFEST = "manifest.json"
MAGIC = b"PK\x03\x04"
UNFINISHED = ".unfinished-backup"  # how the name of a file ends that is still being written
PIECE = 1 << 20  # bytes

# How values are spelled, whatever the server or the user has set; and nothing is cut short or left out in silence.
_SESSION = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}


class ArchiveError(KnowDefeatError):
    """A file that cannot be written or is not whole; the message says which table, and what to do."""

    page = "operations.md#back-up-and-restore"


@dataclass(frozen=True)
class Part:
    """A table in the archive: `rows` and `sha256` of what its member holds."""

    member: str
    schema: str | None
    name: str
    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True)
class Sequence:
    """A sequence in the archive: the last value, and whether it has been given out."""

    schema: str | None
    name: str
    last_value: int
    is_called: bool


@dataclass(frozen=True)
class Manifest:
    """What an archive holds. `make` and `finish` are the statements around the rows of Dagster's tables."""

    revision: str
    server_version: str
    written_at: str
    origin: Server
    parts: list[Part]
    sequences: list[Sequence]
    make: list[str]
    finish: list[str]

    def to_json(self) -> str:
        """The text of the member manifest.json."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self), "origin": self.origin._asdict()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Raises KeyError, TypeError or ValueError for a text that is none, ArchiveError for a newer version's."""
        fields: Mapping[str, Any] = json.loads(text)
        if fields["format"] != FORMAT:
            raise ValueError(f"the format is {fields['format']}")
        if fields["version"] > VERSION:
            raise ArchiveError(
                f"The backup is of version {fields['version']}, and this version of the code reads {VERSION}: a newer "
                "one wrote it. Update knowdefeat-pipeline, then restore it."
            )
        kept = {name: value for name, value in fields.items() if name not in ("format", "version")}
        kept["origin"] = Server(**kept["origin"])
        kept["parts"] = [Part(**part) for part in kept["parts"]]
        kept["sequences"] = [Sequence(**sequence) for sequence in kept["sequences"]]
        return cls(**kept)


def write(connection: psycopg.Connection, path: Path, revision: str, origin: Server, leave_out: set[str]) -> Manifest:
    """Write the database as it is at one instant to a new file, and read it once more; what it holds.

    The file gets its name when it is whole, checked and on the disk. Until then it has another one in the same folder:
    what a killed backup left of that, the next one to the folder removes. `leave_out`: tables of ours that stay out.
    Raises ArchiveError, OSError and psycopg.Error.
    """
    if path.exists():
        raise ArchiveError(f"{path} exists already. Choose another name, or move it away.")
    remove_unfinished(path.parent)
    with _unfinished(path) as (partial, file):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            manifest = _copy_out(connection, archive, revision, origin, leave_out)
            archive.writestr(MANIFEST, manifest.to_json())
        file.flush()
        os.fsync(file.fileno())
        check(partial)
        if path.exists():
            raise ArchiveError(f"{path} exists already. Choose another name, or move it away.")
        partial.replace(path)
    _fsync_folder(path.parent)
    return manifest


def check(path: Path) -> Manifest:
    """Read the file to its end; what it holds. Raises ArchiveError where it is not what was written."""
    with opened(path) as archive:
        manifest = _manifest(archive, path)
        for part in manifest.parts:
            rows, digest = 0, hashlib.sha256()
            with damage_named(path, part), archive.open(part.member) as member:
                while piece := member.read(PIECE):
                    rows += piece.count(b"\n")
                    digest.update(piece)
            if (rows, digest.hexdigest()) != (part.rows, part.sha256):
                raise _damaged(path, part, "its checksum does not agree")
    return manifest


def copy_in(connection: psycopg.Connection, path: Path, part: Part) -> None:
    """Put the rows of a table of the archive into the database's. Raises ArchiveError."""
    columns = sql.SQL(", ").join(map(sql.Identifier, part.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(identifier(part.schema, part.name), columns)
    with opened(path) as archive, connection.cursor() as cursor:
        with damage_named(path, part), archive.open(part.member) as member, cursor.copy(statement) as copy:
            while piece := member.read(PIECE):
                copy.write(piece)
        if cursor.rowcount != part.rows:
            raise _damaged(path, part, f"{cursor.rowcount} rows arrived of {part.rows}")


def prepare_session(connection: psycopg.Connection) -> None:
    """Until the end of the transaction values are spelled in one way, and no time limit cuts it short."""
    settings = dict(_SESSION)
    if connection.info.server_version >= 170_000:
        settings["transaction_timeout"] = "0"
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, to be read. Raises ArchiveError where its end, which lists what it holds, is missing or damaged."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(
            f"{path} was cut short or changed: the list of its tables, at its end, cannot be read ({error}). Take "
            "another copy of the file, or an earlier backup. The database was not touched."
        ) from error
    with archive:
        yield archive


@contextmanager
def damage_named(path: Path, part: Part) -> Iterator[None]:
    """What cannot be read of a table is an ArchiveError that names it."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, part, str(error).strip("'\"")) from error


def remove_unfinished(folder: Path) -> None:
    """Remove the leftovers of backups that were killed; those that are being written stay."""
    for path in folder.glob(f".*{UNFINISHED}"):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            path.unlink(missing_ok=True)


@contextmanager
def _unfinished(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file beside `path`, readable by us alone and locked while it is written; gone at the end in any case."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield partial, file
    finally:
        partial.unlink(missing_ok=True)


def _copy_out(
    connection: psycopg.Connection, archive: zipfile.ZipFile, revision: str, origin: Server, leave_out: set[str]
) -> Manifest:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        prepare_session(connection)
        ours = [table for table in catalogue.tables(connection) if table.name not in leave_out]
        parts = [_copy_table(connection, archive, None, table) for table in ours]
        parts += [_copy_table(connection, archive, DAGSTER, table) for table in catalogue.tables(connection, DAGSTER)]
        return Manifest(
            revision,
            connection.info.parameter_status("server_version") or "",
            datetime.now(UTC).isoformat(),
            origin,
            parts,
            # Read last: no snapshot holds them still, and they must not lie behind the rows.
            [Sequence(s, *values) for s in (None, DAGSTER) for values in catalogue.sequences(connection, s)],
            _statements(connection, "postgres/make_tables"),
            _statements(connection, "postgres/finish_tables"),
        )


def _copy_table(connection: psycopg.Connection, archive: zipfile.ZipFile, schema: str | None, table: Table) -> Part:
    member = f"{schema or 'tables'}/{table.name}"
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(columns, identifier(schema, table.name))
    rows, digest = 0, hashlib.sha256()
    with archive.open(member, "w", force_zip64=True) as file, connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in _in_pieces(copy):
                rows += piece.count(b"\n")  # one ends each row; those within a value are written as \n
                digest.update(piece)
                file.write(piece)
        if cursor.rowcount != rows:
            raise ArchiveError(f"The server gave out {cursor.rowcount} rows of {table.name}, and {rows} arrived.")
    return Part(member, schema, table.name, list(table.columns), rows, digest.hexdigest())


def _in_pieces(copy: psycopg.Copy) -> Iterator[bytes]:
    """What COPY gives out, row by row, in pieces that are worth a call."""
    gathered = bytearray()
    for row in copy:
        gathered += row
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _statements(connection: psycopg.Connection, name: str) -> list[str]:
    return [text for (text,) in connection.execute(query(name), {"schema": DAGSTER}).fetchall()]


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    try:
        return Manifest.from_json(archive.read(MANIFEST))
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ArchiveError(
            f"{path} is no backup of KnowDefeat, or was changed: its manifest cannot be read ({error}). Take another "
            "copy of the file, or an earlier backup. The database was not touched."
        ) from error


def _damaged(path: Path, part: Part, how: str) -> ArchiveError:
    return ArchiveError(
        f"{path} was cut short or changed: the table {part.name} is not what was written ({how}). Take another copy of "
        "the file, or an earlier backup. The database was not changed."
    )


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
