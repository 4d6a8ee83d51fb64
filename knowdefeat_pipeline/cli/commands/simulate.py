"""`simulate`: worlds and fleets of trading bots whose truth is known, into the database or into files."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pandas as pd
import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.files import check_writable, write_table
from knowdefeat_pipeline.cli.options import CommandError, Json, parse_day
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.core.funds.settings import beginning
from knowdefeat_pipeline.core.money import exact_units
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS, CAPITAL, QUOTE_CURRENCY, Simulation, simulate
from knowdefeat_pipeline.core.simulation.demo import Demo
from knowdefeat_pipeline.core.simulation.fleet import FLEETS, Fleet, simulate_fleet
from knowdefeat_pipeline.core.simulation.panels import panel_of, scores_of_trades
from knowdefeat_pipeline.core.units import day_start
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.sources.market import BARS, BOOKS, Form, MarketReading, read_market
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.funds import latest_of, save_settings
from knowdefeat_pipeline.store.market import load_market, record_market
from knowdefeat_pipeline.store.simulation import has_own_trades, record_scores
from knowdefeat_pipeline.store.trades import LoadReport, load, load_trades

SOURCE = "simulator"  # of the fleet's trades; a bot may call its own so, for what is simulated has a mark
DEMO_FUNDS = Decimal(100_000)


def simulation(world: str, bots: int, days: int, seed: int, end: date) -> Simulation:
    """The world's history of so many days before `end`."""
    if world not in BOT_WORLDS:
        raise CommandError(f"There is no world {world!r}; choose one of {', '.join(BOT_WORLDS)}.")
    moment = datetime.combine(end, datetime.min.time(), tzinfo=UTC)
    return simulate(world, bots=bots, days=days, seed=seed, end=moment)


def load_simulation(url: str, simulated: Simulation) -> LoadReport:
    """Load a simulated fleet in the place of an earlier one, with the scores of its trades where the world has some."""
    report = load_trades(url, _reading(simulated, current_time(url)), SOURCE, simulated=True)
    scores = scores_of_trades(simulated)
    if len(scores):
        with connect(url) as connection:
            record_scores(connection, scores)
    return report


def _reading(simulated: Simulation, now: datetime) -> Reading:
    return read_frame(simulated.trades, SOURCE, now, CAPITAL)


def simulate_command(
    world: Annotated[str, typer.Option(help=f"One of {', '.join(BOT_WORLDS)}.")] = "base",
    bots: Annotated[int, typer.Option(min=1)] = 24,
    days: Annotated[int, typer.Option(min=1)] = 90,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    end: Annotated[
        date | None,
        typer.Option(parser=parse_day, metavar="YYYY-MM-DD", help="First day after the simulation; today by default."),
    ] = None,
    fleet: Annotated[
        str | None,
        typer.Option(
            help=f"Instead of a world a fleet as real ones are, with bars of its tickers: {', '.join(FLEETS)}."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write trades to this .csv or .parquet file instead of the database, and beside it a fleet's bars and "
            "the truth.",
        ),
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="Write what is true of a fleet's bots to this file.")] = None,
    panel: Annotated[
        Path | None,
        typer.Option(help="Write what a learner may know and the true skill to this file instead of the database."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a fleet of paper-trading bots, some skilled and some not, and load or write its trades.

    In the world `informative` a model score tells the next day's skill; in `adverse` it tells the opposite and luck
    reverses; in `switch` it changes sides half-way; in `null` nobody has skill; in `negative` all bots lose alike, in
    `losing` nearly all, some more than others. The fleet `realistic` has grid, martingale and lottery bots, holders of
    open losses, duplicates, and bots that are born, die and break, over one market.
    """
    for path in filter(None, (output, panel, truth)):
        check_writable(path)
    end = end or datetime.now(UTC).date()
    if fleet is not None:
        if panel:
            raise CommandError("--panel is of a world, --fleet is none: give one of them.")
        _simulate_fleet(_fleet(fleet, bots, days, seed, end), output, truth, json)
        return
    if truth:
        raise CommandError("--truth is of a fleet: add --fleet realistic. Of a world, --panel holds the true skill.")
    simulated = simulation(world, bots, days, seed, end)
    if output or panel:
        _write(simulated, output, panel, json)
        return
    _tell(load_simulation(_own_database(), simulated), json)


def _own_database() -> str:
    """The URL of the database, if it holds no real trades. Raises CommandError where it does."""
    url = url_for_input(Settings.from_environment())
    with connect(url) as connection:
        if has_own_trades(connection):
            raise CommandError(
                "The database holds real trades; a simulated fleet is not mixed into them. "
                "Write it to a file: --out FILE"
            )
    return url


def _tell(report: LoadReport, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
    else:
        show_report(report)
        out.print("Next: knowdefeat run", style="dim")


def _fleet(name: str, bots: int, days: int, seed: int, end: date) -> Fleet:
    if name not in FLEETS:
        raise CommandError(f"There is no fleet {name!r}; choose one of {', '.join(FLEETS)}.")
    return simulate_fleet(name, bots=bots, days=days, seed=seed, end=day_start(end))


def _simulate_fleet(fleet: Fleet, output: Path | None, truth: Path | None, as_json: bool) -> None:
    """Load or write the fleet's trades and bars, and write the truth where that was asked for."""
    if output is None:
        report = load_fleet(_own_database(), fleet)
        if truth:
            write_table(fleet.truth, truth)
        _tell(report, as_json)
        return
    bars, truth = _beside(output, "bars"), truth or _beside(output, "truth")
    valid = read_frame(fleet.trades, SOURCE, datetime.now(UTC), CAPITAL).valid
    write_table(valid.drop(columns=["row_number", "pnl"]).dropna(axis=1, how="all"), output)
    write_table(fleet.bars, bars)
    write_table(fleet.truth, truth)
    if as_json:
        print_json({"file": output, "trades": len(valid), "bars": bars, "truth": truth})
        return
    out.print(f"{output}: {counted(len(valid), 'trade')}; {bars}: bars; {truth}: what is true of each bot.")
    commands = f"knowdefeat ingest-bars {quote(str(bars))}, then knowdefeat run --trades {quote(str(output))}"
    out.print(f"Next: {commands}", style="dim", soft_wrap=True)


def _beside(path: Path, what: str) -> Path:
    """trades.csv → trades.truth.csv"""
    return path.with_suffix(f".{what}{path.suffix}")


def load_fleet(url: str, fleet: Fleet) -> LoadReport:
    """Load a fleet and the bars of its tickers in the place of an earlier one: no real bars have such tickers."""
    report = load_trades(url, read_frame(fleet.trades, SOURCE, current_time(url), CAPITAL), SOURCE, simulated=True)
    load_market(url, _market(fleet.bars, BARS, current_time(url)), f"{SOURCE}.bars", replaces=True)
    return report


def load_demo(url: str, demo: Demo) -> LoadReport:
    """Load the demo with its market and its funds in one transaction, in the place of an earlier fleet.

    Where somebody has set funds in its currency, they stay.
    """
    now = current_time(url)
    market = [_market(demo.bars, BARS, now), _market(demo.books, BOOKS, now)]
    funds = replace(beginning(QUOTE_CURRENCY), funds=exact_units(DEMO_FUNDS, QUOTE_CURRENCY))
    with connect(url) as connection:

        def complete(import_id: int) -> None:
            for reading in market:
                record_market(connection, reading)
            if latest_of(connection, QUOTE_CURRENCY) is None:
                save_settings(connection, funds, SOURCE, "the demo's", simulated=True)

        return load(connection, read_frame(demo.trades, SOURCE, now, CAPITAL), SOURCE, simulated=True, then=complete)


def _market(rows: pd.DataFrame, form: Form, now: datetime) -> MarketReading:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "market.parquet"
        write_table(rows, path)
        return read_market(path, form, now=now)


def _write(simulated: Simulation, output: Path | None, panel: Path | None, as_json: bool) -> None:
    """The trades, the panel or both, and what to do next."""
    summary: dict[str, Any] = {}
    if output:
        valid = _reading(simulated, datetime.now(UTC)).valid
        frame = valid.drop(columns=["row_number", "pnl"]).dropna(axis=1, how="all")
        write_table(frame, output)
        summary |= {"file": str(output), "trades": len(frame)}
    if panel:
        known = panel_of(simulated)
        write_table(known.frame.assign(skill=known.skill, expected=known.expected), panel)
        summary |= {"panel": str(panel), "rows": len(known.frame)}
    if as_json:
        print_json(summary)
        return
    if output:
        command = f"knowdefeat run --trades {quote(str(output))}"
        out.print(f"{output}: {counted(summary['trades'], 'trade')}. Next: {command}")
    if panel:
        command = f"knowdefeat backtest --panel {quote(str(panel))}"
        out.print(f"{panel}: {counted(summary['rows'], 'row')}. Next: {command}")
