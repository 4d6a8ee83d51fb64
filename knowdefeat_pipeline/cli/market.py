"""`ingest-bars` and `ingest-books`: market data from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from knowdefeat_pipeline.cli.context import Json, migrated_url
from knowdefeat_pipeline.cli.load import Map, Timezone, mapping_of
from knowdefeat_pipeline.cli.output import Justify, err, number, out, print_json, table, text
from knowdefeat_pipeline.sources.market import BARS, BOOKS, Form, read_market
from knowdefeat_pipeline.store.market import MarketReport, load_market

Ticker = Annotated[str | None, typer.Option(help="Ticker of files that have no column for it.")]
Timeframe = Annotated[
    str | None, typer.Option(help="Length of a bar (15m, 1h, 1d) in files that have no column for it.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Take the file's values where recorded ones differ, instead of refusing them.")
]
COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("file", "left"),
    ("ticker", "left"),
    ("timeframe", "left"),
    ("rows", "right"),
    ("from", "left"),
    ("to", "left"),
)


def ingest_bars(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of bars; they may be gzipped.")],
    ticker: Ticker = None,
    timeframe: Timeframe = None,
    map_: Map = None,
    timezone: Timezone = "UTC",
    replace: Replace = False,
    json: Json = False,
) -> None:
    """Load price bars: ticker, timeframe, open_time, open, high, low, close, volume. Twice changes nothing.

    Times are ISO 8601 or numbers since 1970. Ticker and timeframe are columns, options, or in the file's name:
    BTCUSDT_1h.csv. A bar that is still open is left to a later load.
    """
    _ingest(BARS, files, {"ticker": ticker, "timeframe": timeframe}, map_, timezone, replace, json)


def ingest_books(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of order books; they may be gzipped.")],
    ticker: Ticker = None,
    map_: Map = None,
    timezone: Timezone = "UTC",
    replace: Replace = False,
    json: Json = False,
) -> None:
    """Load order books: ticker, observed_at, side (BID or ASK), price, size, a row per level. Twice changes nothing."""
    _ingest(BOOKS, files, {"ticker": ticker}, map_, timezone, replace, json)


def _ingest(
    form: Form,
    files: Sequence[Path],
    constants: dict[str, str | None],
    map_: Sequence[str] | None,
    timezone: str,
    replace: bool,
    json: bool,
) -> None:
    url, mapping = migrated_url(), mapping_of(map_ or [])
    given = {name: value for name, value in constants.items() if value}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    reports: list[MarketReport] = []
    try:
        with Progress(*columns, console=err, disable=json, transient=True) as progress:
            task = progress.add_task("", total=len(files))
            for path in files:
                progress.update(task, description=f"Loading {path.name}")
                now = datetime.now(UTC)
                reading = read_market(path, form, now=now, mapping=mapping, constants=given, timezone=timezone)
                reports.append(load_market(url, reading, path.name, replaces=replace))
                progress.advance(task)
    finally:  # the files before one that cannot be read are loaded
        if json and reports:
            print_json([asdict(report) for report in reports])
        elif reports:
            _show(form, reports)


def _show(form: Form, reports: Sequence[MarketReport]) -> None:
    """What the files held, and below it what became of their rows."""
    rows = [
        (
            r.file_name,
            s.ticker,
            text(s.timeframe),
            number(s.rows),
            f"{s.first:%Y-%m-%d %H:%M}",
            f"{s.last:%Y-%m-%d %H:%M}",
        )
        for r in reports
        for s in r.series
    ]
    table(f"{form.name.capitalize()} (UTC)", COLUMNS, rows)
    for report in reports:
        counts = {"new": report.inserted, "replaced": report.replaced, "known": report.unchanged}
        counts |= {"still open": report.unfinished, "quarantined": sum(report.quarantined.values())}
        told = ", ".join(f"{number(count)} {what}" for what, count in counts.items() if count or what == "new")
        out.print(f"[bold]{report.file_name}[/]: {number(report.rows_read)} rows: {told}")
        for reason, count in report.quarantined.items():
            out.print(f"  {count:,} quarantined: {reason} (knowdefeat quarantine list)", style="yellow")
        for note in report.notes:
            out.print(f"  {note}", style="dim")
    out.print("Next: knowdefeat run, then knowdefeat regimes", style="dim")
