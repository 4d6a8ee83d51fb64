"""The whole database, trades, results and Dagster's runs, in one file and back.

The file is an archive of our own (see `archive`), which any server can fill and take. A dump that pg_dump made is
restored by pg_restore, where its version and the server's fit.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import archive, catalogue, identity, migrations
from knowdefeat_pipeline.postgres.archive import ArchiveError, Manifest
from knowdefeat_pipeline.postgres.catalogue import DAGSTER, set_sequence, without_triggers
from knowdefeat_pipeline.postgres.connection import connect, hidden_password, query
from knowdefeat_pipeline.postgres.server import binaries

PG_DUMP_MAGIC = b"PGDMP"
# What is true of a database alone, and never of a copy: its schema's revision stands in the manifest.
_LEFT_OUT = {migrations.VERSION_TABLE, migrations.CHECKSUM_TABLE, identity.TABLE}


class BackupError(KnowDefeatError):
    """A backup or restore that cannot be made; the message says why and what to do. Nothing was changed."""

    page = "operations.md#back-up-and-restore"


def backup(url: str, path: Path) -> int:
    """Write the database as it is at one instant to a new file; its bytes. Whoever writes meanwhile is not held up.

    Raises BackupError, which leaves no file, MigrationError, ForeignTransactions and DatabaseUnreachable.
    """
    migrations.require_current(url)
    identity.require_own(url)
    revision = migrations.status(url).latest
    try:
        with connect(url) as connection:
            connection.prepare_threshold = None  # a pooler may give every transaction another session
            archive.write(connection, path, revision, identity.present_server(connection), _LEFT_OUT)
    except ArchiveError as error:
        raise BackupError(str(error)) from error
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}.") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise BackupError(
            f"The database's user may not read everything: {error}\nMake the backup as the owner of the tables."
        ) from error
    except psycopg.Error as error:
        raise BackupError(f"The backup was broken off, and left no file: {str(error).strip()}\nTry again.") from error
    return path.stat().st_size


def restore(url: str, path: Path) -> list[str]:
    """Fill an empty database from a file of `backup`, all or nothing, and bring its schema up to date.

    Returns the names of tables in the file that are not KnowDefeat's and were left out.
    Raises BackupError, DatabaseUnreachable, MigrationError and, for a dump of pg_dump, EmbeddedPostgresError.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(5)
    except FileNotFoundError:
        raise BackupError(f"There is no file {path}; check the path.") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    if magic == PG_DUMP_MAGIC:
        _restore_dump(url, path)
        return []
    if magic[:4] != archive.MAGIC:
        raise BackupError(f"{path} is no backup: it begins neither as knowdefeat db backup nor as pg_dump writes one.")
    try:
        return _restore_archive(url, path)
    except ArchiveError as error:
        raise BackupError(str(error)) from error


def _restore_archive(url: str, path: Path) -> list[str]:
    """All in one transaction: a kill at any instant leaves an empty database, or one that is whole and ours."""
    manifest = archive.check(path)
    known = migrations.revisions()
    if manifest.revision not in known:
        raise BackupError(
            f"The backup's schema is at {manifest.revision}, and this version of the code knows it up to {known[-1]}: "
            "a newer version wrote it. Update knowdefeat-pipeline, then restore it."
        )
    try:
        with migrations.upgrading(url) as schema:
            connection = schema.connection
            connection.prepare_threshold = None
            archive.prepare_session(connection)
            _require_empty(connection)
            schema.bring_to(manifest.revision)
            strangers = _fill(connection, path, manifest)
            _fill_dagster(connection, path, manifest)
            schema.bring_to()
            _make_own(connection, manifest)
            connection.execute("ANALYZE")
            return strangers
    except psycopg.Error as error:
        raise BackupError(
            f"The restore was broken off, and the database is as empty as before: {str(error).strip()}\n"
            "Its user must be allowed to create tables and schemas in it. Remove the cause and try again."
        ) from error


def _fill(connection: psycopg.Connection, path: Path, manifest: Manifest) -> list[str]:
    """Fill our tables, which the migrations have made; those in the archive that they do not make are left out."""
    made = [table.name for table in catalogue.tables(connection) if table.name not in _LEFT_OUT]
    parts = {part.name: part for part in manifest.parts if part.schema is None}
    if missing := sorted(set(made) - parts.keys()):
        raise BackupError(f"{path} lacks the table {missing[0]}, which its schema has. Restore another backup.")
    with without_triggers(connection, made):
        # Some hold rows from their migration on.
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(map(sql.Identifier, made))))
        for name in made:
            archive.copy_in(connection, path, parts[name])
    present = {name for name, _, _ in catalogue.sequences(connection)}
    for sequence in manifest.sequences:
        if sequence.schema is None and sequence.name in present:
            set_sequence(connection, None, sequence.name, sequence.last_value, sequence.is_called)
    return sorted(parts.keys() - set(made))


def _fill_dagster(connection: psycopg.Connection, path: Path, manifest: Manifest) -> None:
    """Make Dagster's tables as they were, and fill them."""
    parts = [part for part in manifest.parts if part.schema == DAGSTER]
    if not parts:
        return
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(DAGSTER)))
    for statement in manifest.make:
        connection.execute(statement.encode())
    for part in parts:
        archive.copy_in(connection, path, part)
    for statement in manifest.finish:
        connection.execute(statement.encode())
    for sequence in manifest.sequences:
        if sequence.schema == DAGSTER:
            set_sequence(connection, DAGSTER, sequence.name, sequence.last_value, sequence.is_called)


def _make_own(connection: psycopg.Connection, manifest: Manifest) -> None:
    """What the archive says of transactions is said in this server's numbers from here on."""
    present = identity.present_server(connection)
    if not identity.same_numbers(manifest.origin, present) or identity.names_the_future(connection):
        identity.renumber(connection, all_copied=True)
    identity.record(connection, present)


def _restore_dump(url: str, path: Path) -> None:
    with connect(url) as connection:
        _require_empty(connection)
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(DAGSTER)))  # the dump makes it
    _run("pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction", str(path))
    with migrations.upgrading(url) as schema:  # a kill before its end leaves a foreign copy, which is noticed
        schema.bring_to()
        identity.adopt(schema.connection, all_copied=True)
    migrations.finish_indexes(url)
    with connect(url) as connection:
        connection.execute("ANALYZE")


def _require_empty(connection: psycopg.Connection) -> None:
    ((tables, name),) = connection.execute(query("postgres/count_tables")).fetchall()
    if tables:
        raise BackupError(
            f"The database {name} holds {tables} tables already, and a backup is restored into an empty one only.\n"
            "Embedded: knowdefeat db stop, then move the folder postgres in KNOWDEFEAT_HOME away, and try again. "
            "A server of your own: create a new database, and name it in KNOWDEFEAT_DATABASE_URL."
        )


def _run(program: str, url: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's on the database; its password goes through the environment, unseen."""
    address, environment = hidden_password(url)
    done = subprocess.run(
        [str(binaries() / program), "--no-password", f"--dbname={address}", *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BackupError(
            f"{program} failed: {done.stderr.strip()}\nIt is PostgreSQL 18's. For a server that it does not fit, use "
            "that server's own pg_restore on an empty database, then: knowdefeat db migrate"
        )
