"""`ingest-bars`, `ingest-books` and `regimes`: market data from files, and the regimes that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import current_time, database, url_for_input
from knowdefeat_pipeline.cli.options import CommandError, Json, Map, Ticker, TickerOfFile, Timezone, parse_pairs
from knowdefeat_pipeline.cli.views.market import show_loaded, show_regime_runs, show_regimes
from knowdefeat_pipeline.cli.views.output import print_json
from knowdefeat_pipeline.cli.views.progress import progress
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.market import BARS, BOOKS, Form, read_market
from knowdefeat_pipeline.store import reads
from knowdefeat_pipeline.store.market import MarketReport, load_market
from knowdefeat_pipeline.store.reads import has_market_data

Timeframe = Annotated[
    str | None, typer.Option(help="Length of a bar (15m, 1h, 1d) in files that have no column for it.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Take the file's values where recorded ones differ, instead of refusing them.")
]


def ingest_bars(
    files: Annotated[list[Path], typer.Argument(help="Files of bars, of the kinds that ingest reads.")],
    ticker: TickerOfFile = None,
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
    files: Annotated[list[Path], typer.Argument(help="Files of order books, of the kinds that ingest reads.")],
    ticker: TickerOfFile = None,
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
    map_: list[str] | None,
    timezone: str,
    replace: bool,
    json: bool,
) -> None:
    mapping = parse_pairs("--map", "COLUMN=FIELD", map_)
    url = url_for_input(Settings.from_environment())
    given = {name: value for name, value in constants.items() if value}
    reports: list[MarketReport] = []
    try:
        with progress("Loading", len(files), quiet=json, transient=True) as advance:
            for path in files:
                now = current_time(url)
                reading = read_market(path, form, now=now, mapping=mapping, constants=given, timezone=timezone)
                reports.append(load_market(url, reading, path.name, replaces=replace))
                advance(path.name)
    finally:  # the files before one that cannot be read are loaded
        if json and reports:
            print_json([asdict(report) for report in reports])
        elif reports:
            show_loaded(form, reports)


def regimes(
    ticker: Ticker = None,
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
        show_regime_runs(rows)
    else:
        show_regimes(rows)


def _what_next(any_data: bool, chosen: str | None) -> str:
    if not any_data:
        return (
            "There are no market data yet. Load bars: knowdefeat ingest-bars FILE --ticker BTC-USD --timeframe 1h\n"
            "Then: knowdefeat run"
        )
    if chosen:
        return "There is no regime of that ticker and timeframe. See all: knowdefeat regimes; compute: knowdefeat run"
    return "There are market data, but no regime has been computed yet. Run: knowdefeat run"
