"""The whole database, trades, results and Dagster's runs, in one file and back, by PostgreSQL's own programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect, hidden_password, query
from knowdefeat_pipeline.postgres.server import binaries


class BackupError(KnowDefeatError):
    """A backup or restore that cannot be made; the message says why and what to do. Nothing was changed."""


def backup(url: str, path: Path) -> int:
    """Write the database as it is at one instant to a new file; its bytes. Whoever writes meanwhile is not held up.

    Raises BackupError, which leaves no file, DatabaseUnreachable and EmbeddedPostgresError (no programs).
    """
    migrations.require_current(url)
    partial = path.with_name(path.name + ".partial")
    try:
        with path.open("xb"), partial.open("wb"):  # the name is taken at once, and filled by a complete file only
            partial.chmod(0o600)
        _run("pg_dump", url, "--format=custom", f"--file={partial}")
        partial.replace(path)
    except FileExistsError:
        raise BackupError(f"{path} exists already. Choose another name, or move it away.") from None
    except BackupError:
        path.unlink()
        partial.unlink()
        raise
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}.") from error
    return path.stat().st_size


def restore(url: str, path: Path) -> None:
    """Fill an empty database from a file of `backup`, all or nothing, and bring its schema up to date.

    Raises BackupError, DatabaseUnreachable, MigrationError and EmbeddedPostgresError (no programs).
    """
    if not path.is_file():
        raise BackupError(f"There is no file {path}.")
    with connect(url) as connection:
        _require_empty(connection)
    _run("pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction", str(path))
    migrations.upgrade(url)
    with connect(url) as connection:
        ((foreign,),) = connection.execute(query("postgres/foreign_transactions")).fetchall()
        if foreign:
            connection.execute(
                query("postgres/renumber_transactions")
            )  # without parameters: all its statements, or none
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
        raise BackupError(f"{program} failed: {done.stderr.strip()}")
