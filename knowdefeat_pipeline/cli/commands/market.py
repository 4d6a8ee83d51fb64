"""`ingest-bars`, `ingest-books` and `regimes`: market data from files, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from knowdefeat_pipeline.cli.commands.load import Map, Timezone, mapping_of
from knowdefeat_pipeline.cli.options import CommandError, Json, database, migrated_url
from knowdefeat_pipeline.cli.views.output import Justify, err, number, out, print_json, table, text
from knowdefeat_pipeline.sources.market import BARS, BOOKS, Form, read_market
from knowdefeat_pipeline.store import reads
from knowdefeat_pipeline.store.market import MarketReport, has_market_data, load_market

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
            _minute(s.first),
            _minute(s.last),
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


REGIME_COLUMNS: tuple[tuple[str, Justify], ...] = (
    ("ticker", "left"),
    ("timeframe", "left"),
    ("regime", "left"),
    ("since", "left"),
    ("P(T) / P(R) / P(V) %", "right"),
    ("30 days: T / R / V / N %", "right"),
    ("as of", "left"),
)
RUN_COLUMNS: tuple[tuple[str, Justify], ...] = (
    *REGIME_COLUMNS[:4],
    ("until", "left"),
    ("bars", "right"),
)


def regimes(
    ticker: Annotated[str | None, typer.Option(help="Only this ticker.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only bars of this length.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Each run of a label over the last 30 days.")] = False,
    json: Json = False,
) -> None:
    """The market regime of each ticker: its label, the probabilities, since when, and the shares of 30 days."""
    with database() as connection:
        rows = reads.regimes(connection, ticker, timeframe, runs=history)
        any_data = has_market_data(connection)
    if json:
        print_json(rows)
    elif not rows:
        raise CommandError(_what_next(any_data, ticker or timeframe))
    elif history:
        table(
            "Runs of regimes over the last 30 days (UTC)",
            RUN_COLUMNS,
            [(*_series(row), _minute(row["since"]), _minute(row["as_of"]), number(row["bars"])) for row in rows],
        )
    else:
        _show_regimes(rows)


def _what_next(any_data: bool, chosen: str | None) -> str:
    if not any_data:
        return (
            "There are no market data yet. Load bars: knowdefeat ingest-bars FILE --ticker BTC-USD --timeframe 1h\n"
            "Then: knowdefeat run"
        )
    if chosen:
        return "There is no regime of that ticker and timeframe. See all: knowdefeat regimes; compute: knowdefeat run"
    return "There are market data, but no regime has been computed yet. Run: knowdefeat run"


def _show_regimes(rows: Sequence[reads.Record]) -> None:
    shares = ("trending", "ranging", "volatile", "neutral")
    table(
        "Market regimes (UTC)",
        REGIME_COLUMNS,
        [
            (
                *_series(row),
                _minute(row["since"]),
                " / ".join(number(100 * row[f"p_{name}"], 1) for name in shares[:3]),
                " / ".join(number(100 * row[name], 0) for name in shares),
                _minute(row["as_of"]),
            )
            for row in rows
        ],
    )
    out.print("T trending, R ranging, V volatile, N neutral: no regime has half of the probability", style="dim")
    if any(row["last_bar"] >= row["as_of"] for row in rows):
        out.print("There are later bars without a label. Next: knowdefeat run", style="dim")


def _series(row: reads.Record) -> tuple[str, str, str]:
    return row["ticker"], row["timeframe"], row["label"]


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
