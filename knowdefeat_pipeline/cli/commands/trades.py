"""`ingest`: trades from files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.options import (
    Account,
    CapitalOfFile,
    ConfidenceScale,
    CurrencyOfFile,
    Json,
    Map,
    Size,
    Source,
    Timezone,
    parse_pairs,
)
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.trades import LoadReport, load_trades


def read_file(
    path: Path,
    map_: list[str] | None = None,
    timezone: str = "UTC",
    source: str | None = None,
    account: str | None = None,
    currency: str = "USD",
    confidence_scale: int = 1,
    size: str | None = None,
    capital: float | None = None,
    *,
    now: datetime,
) -> Reading:
    """A file read with the options of the command line; a trade later than `now` is refused."""
    return read_trades(
        path,
        mapping=parse_pairs("--map", "COLUMN=FIELD", map_),
        timezone=timezone,
        source=source,
        account=account,
        currency=currency,
        confidence_scale=confidence_scale,
        size=_size(size),
        capital=capital,
        now=now,
    )


def _size(value: str | None) -> Any:
    if value not in (None, "notional", "quantity"):
        raise typer.BadParameter(f"--size {value}: notional or quantity")
    return value


def load(url: str, reading: Reading, name: str) -> LoadReport:
    """Load a reading; a simulated fleet makes room for the first real trades."""
    report = load_trades(url, reading, name)
    if report.removed:
        err.print("The simulated fleet was removed to make room for real trades.", style="dim")
    return report


def ingest(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of trades.")],
    map_: Map = None,
    timezone: Timezone = "UTC",
    source: Source = None,
    account: Account = None,
    currency: CurrencyOfFile = "USD",
    confidence_scale: ConfidenceScale = 1,
    size: Size = None,
    capital: CapitalOfFile = None,
    json: Json = False,
) -> None:
    """Load trades from CSV or Parquet files; loading a file twice changes nothing."""
    url = url_for_input(Settings.from_environment())
    reports = []
    for path in files:
        now = current_time(url)
        reading = read_file(path, map_, timezone, source, account, currency, confidence_scale, size, capital, now=now)
        reports.append(load(url, reading, path.name))
        if not json:
            show_report(reports[-1])
    if json:
        print_json([asdict(report) for report in reports])
    else:
        out.print("Next: knowdefeat run", style="dim")
