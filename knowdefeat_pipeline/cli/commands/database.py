"""`db`: the database's address, state, copies and end."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.commands import roles
from knowdefeat_pipeline.cli.database import address, administrator, owner, server
from knowdefeat_pipeline.cli.options import CommandError, Json
from knowdefeat_pipeline.cli.views.output import Record, out, print_json
from knowdefeat_pipeline.cli.views.tables import NOTHING, instant, number, table, text
from knowdefeat_pipeline.postgres import backup as backups
from knowdefeat_pipeline.postgres import identity, migrations
from knowdefeat_pipeline.postgres.connection import connect, hidden_password
from knowdefeat_pipeline.postgres.last_backup import note_backup, origin_of
from knowdefeat_pipeline.postgres.server import binaries
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.followed_files import followed_files
from knowdefeat_pipeline.store.reads import counts, latest_day
from knowdefeat_pipeline.store.results import traded_days

app = typer.Typer(no_args_is_help=True, help="The database: its address, schema and state.")


app.command("roles")(roles.list_roles)
app.command()(roles.rotate)
app.add_typer(roles.app, name="role")

As = Annotated[str | None, typer.Option("--role", help="As owner, pipeline, web, bot, reader, or a bot's role.")]


@app.command()
def url(role: As = None) -> None:
    """Print the database's URL, with its password; the server is started if it does not run.

    Without --role, that of the user who may do everything; give no program more than it needs.
    """
    settings = Settings.from_environment()
    typer.echo(roles.role_url(settings, role) if role else administrator(settings))


@app.command()
def migrate(json: Json = False) -> None:
    """Bring the schema up to date."""
    place = owner(Settings.from_environment())
    applied = migrations.upgrade(place)
    latest = migrations.status(place).latest
    if json:
        print_json({"applied": applied, "revision": latest})
    else:
        out.print(f"Applied {', '.join(applied)}." if applied else f"The schema is up to date ({latest}).")


@app.command()
def adopt(
    force: Annotated[
        bool, typer.Option(help="Also where no copy is noticed: rows were loaded while triggers were disabled.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a database that was copied from another server this server's own, so that no later trade is missed."""
    place = owner(Settings.from_environment())
    migrations.require_current(place)
    with connect(place) as connection, connection.transaction():
        adopted = identity.adopt(connection, force=force)
    if json:
        print_json({"renumbered": adopted})
    elif adopted:
        out.print("The transaction ids are this server's own now. Days that are stale are listed by: knowdefeat days")
    else:
        out.print("The database is this server's own: nothing was changed.")


@app.command()
def status(json: Json = False) -> None:
    """Where the database is and what it holds."""
    settings = Settings.from_environment()
    record: dict[str, Any] = {"embedded": settings.database_url is None}
    if settings.database_url is None:
        state = server(settings).status()
        record |= asdict(state)
        if not state.running:
            _show_status(record | {"hint": "It starts with the next command, for instance: knowdefeat run"}, json)
            return
    place = address(settings)
    schema = migrations.status(place)
    record |= {"revision": schema.current, "pending": schema.pending}
    if not schema.pending:
        with connect(place) as connection:
            record |= counts(connection)
            traded = traded_days(connection)
            record |= {
                "first_day": traded[0] if traded else None,
                "last_day": traded[1] if traded else None,
                "ranked_until": latest_day(connection),
                "followed": followed_files(connection),
            }
    _show_status(record, json)


def _show_status(record: Record, json: bool) -> None:
    if json:
        print_json(record)
        return
    followed = record.get("followed")
    rows = [(key.replace("_", " "), _shown(key, value)) for key, value in record.items() if key != "followed"]
    table("Database", (("", "left"), ("", "left")), rows)
    if followed:
        out.print()
        _show_followed(followed)


def _show_followed(files: list[Record]) -> None:
    table(
        "Followed files",
        (("file", "left"), ("source", "left"), ("trades", "right"), ("last arrival", "left"), ("", "left")),
        [
            (
                row["path"],
                text(row["source"]),
                number(row["trades"]),
                instant(row["arrived_at"]) if row["arrived_at"] else NOTHING,
                row["trouble"] or ("" if row["is_followed"] else f"not followed since {instant(row['looked_at'])}"),
            )
            for row in files
        ],
    )


def _shown(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or NOTHING
    return number(value) if isinstance(value, int) and key not in ("pid", "port") else text(value)


@app.command()
def shell(
    role: As = None,
    statements: Annotated[
        list[str] | None, typer.Option("-c", metavar="SQL", help="Run this and end, for scripts. Repeatable.")
    ] = None,
) -> None:
    """Open psql on the database; with -c, print what the statements answer, and end with status 1 if one fails."""
    settings = Settings.from_environment()
    place, environment = hidden_password(roles.role_url(settings, role) if role else administrator(settings))
    own = binaries() / "psql" if settings.database_url is None else None
    program = str(own) if own else shutil.which("psql")
    if program is None:
        raise CommandError("psql is not on the PATH; install PostgreSQL's client programs.")
    # A script gets the same answer whatever the user's ~/.psqlrc says, and stops at the first failure.
    scripted = ["--no-psqlrc", "--set=ON_ERROR_STOP=1"] if statements else []
    commands = [f"--command={statement}" for statement in statements or ()]
    os.execvpe(program, [program, *scripted, *commands, place], os.environ | environment)  # noqa: S606 (no shell is meant)


@app.command()
def stop() -> None:
    """Stop the embedded server; the data stays."""
    settings = Settings.from_environment()
    if settings.database_url is not None:
        raise CommandError("KNOWDEFEAT_DATABASE_URL names a server that is not ours to stop.")
    out.print("Stopped." if server(settings).stop() else "It was not running.")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file, for instance knowdefeat.backup.")], json: Json = False
) -> None:
    """Write everything, Dagster's runs included, to a file; whatever runs may go on meanwhile."""
    settings = Settings.from_environment()
    place = owner(settings)
    size = backups.backup(place, file)
    with connect(place) as connection:
        note_backup(settings.home, file, origin_of(connection))
    if json:
        print_json({"file": str(file), "bytes": size})
    else:
        out.print(f"Wrote {number(size)} bytes to {file}.", soft_wrap=True)


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="A file of db backup.")], json: Json = False) -> None:
    """Fill an empty database from a backup, all or nothing, and bring its schema up to date."""
    settings = Settings.from_environment()
    strangers = backups.restore(owner(settings), file)
    with connect(owner(settings)) as connection:  # anew: Dagster's tables belong to another role than ours
        held = counts(connection)
    if json:
        print_json(held)
    else:
        if strangers:
            out.print(f"Left out, as no table of KnowDefeat's has the name: {', '.join(strangers)}.", soft_wrap=True)
        out.print(f"Restored {', '.join(f'{number(count)} {name}' for name, count in held.items())} from {file}.")
