"""`knowdefeat` alone: how things stand, and the next step."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from datetime import date, timedelta

import psycopg
from rich.text import Text

from knowdefeat_pipeline.cli.commands.up import running_at
from knowdefeat_pipeline.cli.database import address, server
from knowdefeat_pipeline.cli.views.output import out, strong
from knowdefeat_pipeline.cli.views.tables import instant, number
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres import clock, migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.reads import counts, latest_day
from knowdefeat_pipeline.store.results import computed_as_of, traded_days
from knowdefeat_pipeline.store.simulation import demo_entries, has_own_trades
from knowdefeat_pipeline.store.staleness import RANKING, stale_days

Line = tuple[str, str]
Step = tuple[str, str]  # a command, and what it does


def show_state() -> None:
    """What there is and what to do next; nothing is started for it, and nothing written."""
    lines, steps = state(Settings.from_environment())
    out.print(strong(f"KnowDefeat Pipeline {importlib.metadata.version('knowdefeat-pipeline')}"))
    for what, found in lines:
        out.print(f"  {what:<10}{found}", soft_wrap=True)
    out.print()
    for before, (command, does) in zip(("Next: ", *["  or: "] * len(steps)), steps, strict=False):
        out.print(Text.assemble(before, strong(command), f"  {does}"), soft_wrap=True)
    out.print("\nAll commands: knowdefeat --help")


def state(settings: Settings) -> tuple[list[Line], list[Step]]:
    """How things stand, a line a subject, and the commands that come next, the first one first."""
    begin = ("knowdefeat run", "ranks the demo, a simulated fleet, to see what there is to see")
    own = ("knowdefeat run --trades FILE", "ranks your own trades")
    if settings.database_url is None:
        embedded = server(settings)
        if not embedded.data.exists():
            return [("database", "none yet; the first command makes it")], [begin, own]
        if not embedded.status().running:
            return [("database", f"stopped; its data is in {embedded.data}")], [
                ("knowdefeat up", "starts it, with the pages"),
                ("knowdefeat run", "starts it, computes what is missing and prints the ranking"),
            ]
    place = address(settings)
    schema = migrations.status(place)
    if schema.current is None:
        return [("database", "without tables yet")], [begin, own]
    if schema.pending:
        return [("database", f"its schema is older than this version: {counted(len(schema.pending), 'migration')}")], [
            ("knowdefeat db backup FILE", "keeps it as it is"),
            ("knowdefeat db migrate", "brings it up to date"),
        ]
    with connect(place) as connection:
        return _of_data(connection, settings, [begin, own])


def _of_data(connection: psycopg.Connection, settings: Settings, first: list[Step]) -> tuple[list[Line], list[Step]]:
    found = counts(connection)
    if not found["trades"]:
        return [("trades", "none yet")], first
    simulated = "" if has_own_trades(connection) else ", simulated"
    lines = [
        ("trades", f"{number(found['trades'])} of {counted(found['bots'], 'bot')}, {found['open']:,} open{simulated}")
    ]
    day, traded = latest_day(connection), traded_days(connection)
    stale = stale_days(connection, RANKING, clock.now(connection), settings.first_day).days
    # Days that were never computed and are too old to be followed by themselves.
    left = set(each_day(day + timedelta(days=1), traded[1])) - {*stale} if day and traded else set()
    lines.append(("ranked", _ranked(connection, day, len(stale) + len(left))))
    running = running_at(settings.home)
    at = f"knowdefeat up; pages at {running.pages}, Dagster UI at {running.dagster}" if running else ""
    lines.append(("running", at or "knowdefeat up does not run"))
    if found["held"]:
        lines.append(("held", f"{counted(found['held'], 'row')} refused, kept with the reason"))
    is_demo = bool(demo_entries(connection))
    wanting = bool(left) or ((day is None or bool(stale)) and not running)
    return lines, list(_next(wanting, bool(running), bool(found["held"]), bool(simulated), is_demo))


def _ranked(connection: psycopg.Connection, day: date | None, waiting: int) -> str:
    if day is None:
        return "nothing yet"
    as_of = computed_as_of(connection, day, day).get(day)
    true = f", true at {instant(as_of)}" if as_of else ""
    return f"{day}{true}; " + (f"{counted(waiting, 'day')} to compute" if waiting else "up to date")


def _next(wanting: bool, running: bool, held: bool, simulated: bool, is_demo: bool) -> Iterator[Step]:
    if wanting:
        yield "knowdefeat run", "computes what is missing and prints the ranking"
    elif is_demo:
        yield "knowdefeat demo", "says what is planted in the demo, and what was found of it"
    if held:
        yield "knowdefeat quarantine list", "shows the refused rows and their remedies"
    if simulated:
        yield "knowdefeat run --trades FILE", "ranks your own trades in the place of the simulated ones"
    if running:
        yield "knowdefeat skill", "says which bots are good and which cannot be told from luck"
    else:
        yield "knowdefeat up", "opens the pages, and ranks new trades as they come"
