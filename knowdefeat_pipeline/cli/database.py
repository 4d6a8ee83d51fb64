"""The database that a command works on, and what the command may do to its schema.

A database that was copied from another server is refused by all but `run`, `up`, `db migrate` and `db adopt`, which
make it this server's own (see `postgres/identity.py`).

Only `run`, `up` and `db migrate` bring an existing schema up to date (`db restore` that of the empty database that it
fills). A command that reads or decides requires that it is; one that brings input creates the schema in a database that
has none at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.cli.options import CommandError
from knowdefeat_pipeline.cli.views.output import Record, err
from knowdefeat_pipeline.postgres import clock, identity, migrations
from knowdefeat_pipeline.postgres.address import administrator_url, database_url, owner_url
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.needs import require_needs
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import latest_day

PAUSES = (0.2, 1.0)  # seconds before a question is asked again
T = TypeVar("T")


def _notify(message: str) -> None:
    err.print(message, style="dim")


def server(settings: Settings) -> EmbeddedPostgres:
    """The embedded server, which says on standard error what it had to change."""
    return EmbeddedPostgres(settings.home, _notify)


def address(settings: Settings) -> str:
    """The database's URL for what computes and reads; the embedded server is started if it does not run."""
    return database_url(settings, _notify)


def owner(settings: Settings) -> str:
    """The same for what changes the schema, to whose role everything belongs from here on."""
    return owner_url(settings, _notify)


def administrator(settings: Settings) -> str:
    """The same for who makes roles and passwords. On the embedded server that is a superuser."""
    return administrator_url(settings, _notify)


def passwords(settings: Settings) -> Passwords:
    """Where the roles' passwords are kept: beside the embedded server's own, or by the address of another server."""
    if settings.database_url is None:
        return server(settings).passwords
    parts = conninfo_to_dict(address(settings))
    place = f"{parts.get('host', 'localhost')}_{parts.get('port', 5432)}".replace("/", "_")
    return Passwords(settings.home / "roles" / place)


def _patiently(read: Callable[[str], T], url: str) -> T:
    """What a command reads before it begins, asked again where the connection breaks: nothing was done yet."""
    for pause in PAUSES:
        try:
            return read(url)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            time.sleep(pause)
    return read(url)


def upgraded_url(settings: Settings) -> str:
    """The URL of the database, its schema brought up to date and its transaction ids this server's own."""
    place = owner(settings)
    _patiently(require_needs, place)
    _patiently(migrations.upgrade, place)
    return address(settings)


def url_for_input(settings: Settings) -> str:
    """The URL of a database that can take input: a new one gets its schema, an older schema is refused."""
    url = address(settings)
    _patiently(require_needs, url)
    if _patiently(migrations.status, url).current is None:
        migrations.upgrade(owner(settings))
    _patiently(migrations.require_current, url)
    _patiently(identity.require_own, url)
    return url


def current_url(settings: Settings | None = None) -> str:
    """The URL of a database whose schema is what the code needs, and whose transaction ids are its server's own.

    Raises MigrationError or ForeignTransactions otherwise, with what to do.
    """
    url = address(settings or Settings.from_environment())
    _patiently(migrations.require_current, url)
    _patiently(identity.require_own, url)
    return url


def current_administrator(settings: Settings) -> str:
    """As `current_url`, for who makes roles and passwords."""
    url = administrator(settings)
    _patiently(migrations.require_current, url)
    _patiently(identity.require_own, url)
    return url


def computing_url(settings: Settings) -> str:
    """The URL of a database whose schema is what the code needs, and on which it can compute."""
    url = current_url(settings)
    _patiently(require_needs, url)
    return url


def current_time(url: str) -> datetime:
    """The current instant by the clock of the database (see `clock.now`)."""
    with connect(url) as connection:
        return clock.now(connection)


@contextmanager
def database() -> Iterator[psycopg.Connection]:
    """A connection to the database that the environment names, its schema being what the code needs."""
    with connect(current_url()) as connection:
        yield connection


@contextmanager
def owned_database() -> Iterator[psycopg.Connection]:
    """The same as who owns its tables."""
    settings = Settings.from_environment()
    current_url(settings)
    with connect(owner(settings)) as connection:
        yield connection


def day_or_latest(connection: psycopg.Connection, day: date | None, table: str) -> date:
    """The day asked for, or the last one computed. Raises CommandError while nothing is."""
    chosen = day or latest_day(connection, table)
    if chosen is None:
        raise CommandError("Nothing has been computed yet. Run: knowdefeat run")
    return chosen


def require_rows(rows: Sequence[Record], message: str) -> None:
    """Raise CommandError, with what to do next, where a day has no rows."""
    if not rows:
        raise CommandError(
            f"{message} See which days are there: knowdefeat db status; "
            "compute more: knowdefeat run --from DAY --to DAY"
        )
