"""What commands share: the settings, a migrated database, days as options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import psycopg
import typer

from knowdefeat_pipeline.cli.views.output import err
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect, database_url
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import latest_day


class CommandError(KnowDefeatError):
    """A command that cannot do what was asked; the message says why and what to do."""


def parse_day(value: str) -> date:
    """A day written YYYY-MM-DD."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a day; write it as YYYY-MM-DD") from None


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Day = Annotated[
    date | None,
    typer.Option("--day", parser=parse_day, metavar="YYYY-MM-DD", help="UTC day; the last one computed by default."),
]
Bot = Annotated[int | None, typer.Option("--bot", help="Only this bot.")]


def server(settings: Settings) -> EmbeddedPostgres:
    """The embedded server, which says on standard error what it had to change."""
    return EmbeddedPostgres(settings.home, notify=lambda message: err.print(message, style="dim"))


def migrated_url() -> str:
    """The database's URL, its server started and its schema brought up to date."""
    settings = Settings.from_environment()
    url = database_url(settings) if settings.database_url else server(settings).ensure_running()
    migrations.upgrade(url)
    return url


@contextmanager
def database() -> Iterator[psycopg.Connection]:
    """A connection to the migrated database."""
    with connect(migrated_url()) as connection:
        yield connection


def day_or_latest(connection: psycopg.Connection, day: date | None, table: str) -> date:
    """The day asked for, or the last one computed. Raises CommandError while nothing is."""
    found = day or latest_day(connection, table)
    if found is None:
        raise CommandError("Nothing has been computed yet. Run: knowdefeat run")
    return found
