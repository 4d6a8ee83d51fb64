"""`simulate`: worlds of trading bots whose true skill is known, into the database or into files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.files import check_writable, write_table
from knowdefeat_pipeline.cli.options import CommandError, Json, parse_day
from knowdefeat_pipeline.cli.views.output import out, print_json
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS, CAPITAL, Simulation, simulate
from knowdefeat_pipeline.core.simulation.panels import panel_of, scores_of_trades
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.simulation import has_own_trades, record_scores
from knowdefeat_pipeline.store.trades import LoadReport, load_trades

SOURCE = "simulator"  # of the fleet's trades; a bot may call its own so, for what is simulated has a mark


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
    output: Annotated[
        Path | None, typer.Option("--out", help="Write trades to this .csv or .parquet file instead of the database.")
    ] = None,
    panel: Annotated[
        Path | None,
        typer.Option(help="Write what a learner may know and the true skill to this file instead of the database."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a fleet of paper-trading bots, some skilled and some not, and load or write its trades.

    In the world `informative` a model score tells the next day's skill; in `adverse` it tells the opposite and luck
    reverses; in `switch` it changes sides half-way; in `null` nobody has skill.
    """
    for path in filter(None, (output, panel)):
        check_writable(path)
    simulated = simulation(world, bots, days, seed, end or datetime.now(UTC).date())
    if output or panel:
        _write(simulated, output, panel, json)
        return
    url = url_for_input(Settings.from_environment())
    with connect(url) as connection:
        if has_own_trades(connection):
            raise CommandError(
                "The database holds real trades; a simulated fleet is not mixed into them. "
                "Write it to a file: --out FILE"
            )
    report = load_simulation(url, simulated)
    if json:
        print_json(asdict(report))
    else:
        show_report(report)
        out.print("Next: knowdefeat run", style="dim")


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
        out.print(f"{output}: {counted(summary['trades'], 'trade')}. Next: knowdefeat run --trades {output}")
    if panel:
        out.print(f"{panel}: {counted(summary['rows'], 'row')}. Next: knowdefeat backtest --panel {panel}")
