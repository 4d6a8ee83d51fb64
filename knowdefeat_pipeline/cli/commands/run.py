"""`run`: the main job in one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from knowdefeat_pipeline.cli.commands.simulate import load_demo
from knowdefeat_pipeline.cli.commands.trades import load
from knowdefeat_pipeline.cli.database import current_time, upgraded_url
from knowdefeat_pipeline.cli.options import AllDays, From, Json, To, check_order
from knowdefeat_pipeline.cli.runs import bring_up_to_date, compute_market, day_range, materialise
from knowdefeat_pipeline.cli.trade_files import FileOptions, with_file_options
from knowdefeat_pipeline.cli.views.checks import show_checks
from knowdefeat_pipeline.cli.views.output import Record, err, out, print_json, strong
from knowdefeat_pipeline.cli.views.ranking import show_ranking
from knowdefeat_pipeline.cli.views.tables import number
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.core.simulation.demo import simulate_demo
from knowdefeat_pipeline.core.units import day_start
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.funds import allocation
from knowdefeat_pipeline.store.reads import counts, ranking
from knowdefeat_pipeline.store.results import computed_as_of, traded_days
from knowdefeat_pipeline.store.simulation import demo_entries, has_own_trades
from knowdefeat_pipeline.store.trades import LoadReport


@with_file_options
def run(
    how: FileOptions,
    trades: Annotated[
        Path | None,
        typer.Option(help="File of trades, as for ingest; without it and without any trades, the demo."),
    ] = None,
    from_: From = None,
    to: To = None,
    all_: AllDays = False,
    json: Json = False,
) -> None:
    """Load trades, materialise the chain as one Dagster run, and print the ranking."""
    check_order(from_, to)  # before anything is loaded
    settings = Settings.from_environment()
    url = upgraded_url(settings)
    if trades is not None:
        reports = [load(url, reading, trades) for reading in how.read(trades, current_time(url))]
    else:
        reports = _demo(url)
    for report in reports if not json else ():
        show_report(report)
    with connect(url) as connection:
        first, last = day_range(settings, traded_days(connection), clock.now(connection).date(), from_, to, all_)
    market = compute_market(settings, url, quiet=json)
    outcome = materialise(first, last, quiet=json)
    bring_up_to_date(settings, url, quiet=json)
    with connect(url) as connection:
        as_of = computed_as_of(connection, last, last).get(last)
        rows = ranking(connection, last)
        funds, _ = allocation(connection, last)
        is_demo, own = bool(demo_entries(connection)), has_own_trades(connection)
    if json:
        print_json(
            {
                "run_id": outcome.run_id,
                "from": first,
                "to": last,
                "as_of": as_of,
                "ingest": asdict(reports[0]) if reports else None,
                "ingest_of_other_sources": [asdict(report) for report in reports[1:]],
                "market": {"from": market[0], "to": market[1]} if market else None,
                "checks": outcome.checks,
                "ranking": rows,
                "funds": funds,
            }
        )
        return
    _show(rows, as_of, funds, outcome.checks, is_demo, own)


def _demo(url: str) -> list[LoadReport]:
    """Load the demo into a database without trades; nothing where there are some."""
    with connect(url) as connection:
        if counts(connection)["trades"]:
            return []
        today = clock.now(connection).date()
    err.print("No trades yet: loading the demo, a month of 24 simulated bots.", style="dim")
    return [load_demo(url, simulate_demo(day_start(today)))]


def _show(
    rows: Sequence[Record],
    as_of: datetime | None,
    funds: Sequence[Record],
    checks: Sequence[Record],
    is_demo: bool,
    own: bool,
) -> None:
    if as_of is None or not rows:
        out.print("No bot has a closed trade by the end of these days: nothing to rank.")
    else:
        show_ranking(rows, as_of)
    for day in funds:
        out.print(
            f"\nFunds: {number(day['allocated'])} of {number(day['funds'])} {day['quote_currency']} to "
            f"{counted(day['funded'], 'bot')} (knowdefeat funds show)."
        )
    out.print()
    show_checks(checks)
    demo = (strong("knowdefeat demo"), " says what is planted in the demo, and what was found of it;\n")
    skill = (strong("knowdefeat skill"), " says which bots are good and which cannot be told from luck.")
    trades = (strong("knowdefeat run --trades FILE"), " ranks your own trades.")
    out.print(
        Text.assemble(
            "\nNext: ",
            *(demo if is_demo else ()),
            strong("knowdefeat up"),
            " (or make up) opens the pages and the Dagster UI; ",
            strong("knowdefeat metrics --bot BOT"),
            " shows one bot;\n",
            *(skill if own else trades),
        )
    )
