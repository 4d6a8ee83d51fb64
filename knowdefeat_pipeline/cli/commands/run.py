"""`run`: the main job in one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from knowdefeat_pipeline.cli.commands import load
from knowdefeat_pipeline.cli.commands.simulate import load_simulation, simulation
from knowdefeat_pipeline.cli.options import CommandError, Json, migrated_url, parse_day
from knowdefeat_pipeline.cli.views.output import err, number, out, print_json, show_ranking
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.funds import allocation
from knowdefeat_pipeline.store.reads import counts, ranking
from knowdefeat_pipeline.store.results import computed_as_of, traded_days
from knowdefeat_pipeline.store.staleness import pending_market

DEFAULT_DAYS = 90

From = Annotated[date | None, typer.Option("--from", parser=parse_day, metavar="YYYY-MM-DD", help="First UTC day.")]
To = Annotated[date | None, typer.Option("--to", parser=parse_day, metavar="YYYY-MM-DD", help="Last UTC day.")]


def run(
    trades: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file of trades; without it and without any trades, a simulated fleet."),
    ] = None,
    from_: From = None,
    to: To = None,
    all_: Annotated[bool, typer.Option("--all", help="Every day since the first trade, not the last 90.")] = False,
    map_: load.Map = None,
    timezone: load.Timezone = "UTC",
    source: load.Source = None,
    account: load.Account = None,
    currency: load.Currency = "USD",
    confidence_scale: load.Confidence = 1,
    size: load.Size = None,
    json: Json = False,
) -> None:
    """Load trades, materialise the chain as one Dagster run, and print the ranking."""
    url = migrated_url()
    report = None
    if trades is not None:
        reading = load.read_file(trades, map_, timezone, source, account, currency, confidence_scale, size)
        report = load.load(url, reading, trades.name)
    else:
        report = _demo(url)
    if report and not json:
        load.show_report(report)
    with connect(url) as connection:
        first, last = day_range(traded_days(connection), from_, to, all_)
    market = compute_market(url, quiet=json)
    outcome = materialise(first, last, quiet=json)
    with connect(url) as connection:
        as_of = computed_as_of(connection, last, last).get(last)
        rows = ranking(connection, last)
        funds, _ = allocation(connection, last)
    if json:
        print_json(
            {
                "run_id": outcome.run_id,
                "from": first,
                "to": last,
                "as_of": as_of,
                "ingest": asdict(report) if report else None,
                "market": {"from": market[0], "to": market[1]} if market else None,
                "checks": outcome.checks,
                "ranking": rows,
                "funds": funds,
            }
        )
        return
    _show(rows, as_of, funds, outcome.checks)


def _demo(url: str) -> Any:
    """Load the simulated fleet into a database without trades; None where there are some."""
    with connect(url) as connection:
        if counts(connection)["trades"]:
            return None
    err.print("No trades yet: simulating a fleet of 24 paper-trading bots over 90 days.", style="dim")
    return load_simulation(url, simulation("base", bots=24, days=90, seed=1, end=datetime.now(UTC).date()))


def day_range(traded: tuple[date, date] | None, from_: date | None, to: date | None, all_: bool) -> tuple[date, date]:
    """The days that a command is to compute. Raises CommandError where there are none."""
    from knowdefeat_pipeline.assets.partitions import FIRST_DAY

    if traded is None:
        raise CommandError("No trade has closed yet, so there is nothing to rank. Ingest some: knowdefeat ingest FILE")
    last = to or (max(traded[0], min(traded[1], datetime.now(UTC).date())))
    first = from_ or (traded[0] if all_ else max(traded[0], last - timedelta(days=DEFAULT_DAYS - 1)))
    first = min(first, last) if from_ is None else first
    if first > last:
        raise CommandError(f"--from {first} lies after --to {last}.")
    if last > datetime.now(UTC).date():
        raise CommandError(f"--to {last} lies in the future.")
    if first < FIRST_DAY:
        raise CommandError(
            f"{first} lies before the first partition, {FIRST_DAY}. Set KNOWDEFEAT_FIRST_DAY={first} in the "
            "environment (of every command), or choose a later --from."
        )
    return first, last


def materialise(first: date, last: date, quiet: bool, beliefs_only: bool = False) -> Any:
    """The chain, beliefs and funds for first..last in one run, its progress shown unless `quiet`; its Outcome."""
    # Dagster takes a second to import: commands that only read go without.
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.jobs import BELIEFS, CHAIN, FUNDS, learn, recompute
    from knowdefeat_pipeline.automation.runs import refresh_days
    from knowdefeat_pipeline.definitions import defs

    job, assets = (learn, BELIEFS) if beliefs_only else (recompute, CHAIN + BELIEFS + FUNDS)
    with open_instance() as instance, _progress(f"Materialising {_range(first, last)}", len(assets), quiet) as advance:
        return refresh_days(defs, instance, first, last, advance, job=job.name)


def audit(first: date, last: date) -> list[dict[str, Any]]:
    """The checks of the audit of first..last."""
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import audit_days
    from knowdefeat_pipeline.definitions import defs

    with err.status("Auditing the results"), open_instance() as instance:
        return audit_days(defs, instance, first, last).checks


def show_checks(checks: list[dict[str, Any]]) -> None:
    """How many passed, and those that did not."""
    passed = sum(check["passed"] for check in checks)
    out.print(f"{number(passed)} of {number(len(checks))} checks passed.")
    for check in checks:
        if not check["passed"]:
            out.print(f"  {check['asset']}: {check['description'] or check['check']}", style="yellow")


def compute_market(url: str, quiet: bool) -> tuple[date, date] | None:
    """Regimes and scores of all days that lack them, some days a run; these days, None where there are none."""
    from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS, FIRST_DAY

    with connect(url) as connection:
        found = pending_market(connection, FIRST_DAY, datetime.now(UTC).date())
    if found is None:
        return None
    for first, last in chunks(found.first, found.last, CHUNK_DAYS):
        materialise_market(first, last, quiet)
    return found.first, found.last


def materialise_market(first: date, last: date, quiet: bool) -> Any:
    """The assets of the market for first..last in one run, its progress shown unless `quiet`; its Outcome."""
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.jobs import MARKET
    from knowdefeat_pipeline.automation.runs import market_days
    from knowdefeat_pipeline.definitions import defs

    with open_instance() as instance, _progress(f"Market of {_range(first, last)}", len(MARKET), quiet) as advance:
        return market_days(defs, instance, first, last, advance)


def chunks(first: date, last: date, size: int) -> list[tuple[date, date]]:
    """The range in pieces of at most `size` days, in order."""
    starts = [first + timedelta(days=at) for at in range(0, (last - first).days + 1, size)]
    return [(start, min(last, start + timedelta(days=size - 1))) for start in starts]


def adjust_range(first: date, last: date, quiet: bool) -> Any:
    """The weights of first..last adjusted in one run; its Outcome."""
    from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
    from knowdefeat_pipeline.automation.runs import adjust_days
    from knowdefeat_pipeline.definitions import defs

    label = f"Adjusting the weights of {_range(first, last)}"
    with open_instance() as instance, _progress(label, 1, quiet) as advance:
        return adjust_days(defs, instance, first, last, advance)


def _range(first: date, last: date) -> str:
    days = (last - first).days + 1
    return f"{first} … {last} ({days:,} {'day' if days == 1 else 'days'})"


@contextmanager
def _progress(label: str, steps: int, quiet: bool) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet) as progress:
        task = progress.add_task(label, total=steps)

        def advance(asset: str) -> None:
            progress.update(task, advance=1, description=f"{label}: {asset}")

        yield advance


def _show(rows: list[dict], as_of: datetime | None, funds: list[dict], checks: list[dict]) -> None:
    if as_of is None or not rows:
        out.print("No bot has a closed trade by the end of these days: nothing to rank.")
    else:
        show_ranking(rows, as_of)
    for day in funds:
        out.print(
            f"\nFunds: {number(day['allocated'])} of {number(day['funds'])} {day['quote_currency']} to "
            f"{number(day['funded'])} bots (knowdefeat funds show)."
        )
    out.print()
    show_checks(checks)
    out.print(
        "\nNext: [bold]knowdefeat up[/] (or make up) opens the Dagster UI; [bold]knowdefeat metrics --bot N[/] shows "
        "one bot;\n[bold]make run TRADES=file.csv[/] ranks your own trades."
    )
