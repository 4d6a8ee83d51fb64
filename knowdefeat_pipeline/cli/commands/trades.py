"""`ingest`: trades from files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.options import (
    Account,
    BotOfFile,
    ConfidenceScale,
    CurrencyOfFile,
    DatesOfFile,
    DecimalOfFile,
    DirectionOfFile,
    Json,
    Map,
    Size,
    Source,
    StatusOfFile,
    TableOfFile,
    TickerOfFile,
    Timezone,
    parse_pairs,
)
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.readings import as_record, show_reading
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.trades import LoadReport, load_trades


def read_file(
    path: Path,
    *,
    now: datetime,
    map_: list[str] | None = None,
    confidence_scale: int = 1,
    size: str | None = None,
    bot: str | None = None,
    ticker: str | None = None,
    direction: str | None = None,
    status: str | None = None,
    **options: Any,
) -> Reading:
    """A file read with the options of the command line; a trade later than `now` is refused."""
    return read_trades(
        path,
        now=now,
        mapping=parse_pairs("--map", "COLUMN=FIELD", map_),
        confidence_scale=confidence_scale,
        size=_size(size),
        constants={"bot_id": bot, "ticker": ticker, "direction": direction, "status": status},
        **options,
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
    files: Annotated[list[Path], typer.Argument(help="Files of trades, of any common kind; they may be gzipped.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how the files are read, and write nothing; needs no database.")
    ] = False,
    map_: Map = None,
    timezone: Timezone = "UTC",
    source: Source = None,
    account: Account = None,
    currency: CurrencyOfFile = None,
    confidence_scale: ConfidenceScale = 1,
    size: Size = None,
    bot: BotOfFile = None,
    ticker: TickerOfFile = None,
    direction: DirectionOfFile = None,
    status: StatusOfFile = None,
    decimal: DecimalOfFile = None,
    dates: DatesOfFile = None,
    table: TableOfFile = None,
    json: Json = False,
) -> None:
    """Load trades from CSV, Parquet, Arrow, JSON, Excel or SQLite files; loading a file twice changes nothing."""
    options: dict[str, Any] = {
        "map_": map_,
        "timezone": timezone,
        "source": source,
        "account": account,
        "currency": currency,
        "confidence_scale": confidence_scale,
        "size": size,
        "bot": bot,
        "ticker": ticker,
        "direction": direction,
        "status": status,
        "decimal": decimal,
        "dates": dates,
        "table": table,
    }
    if dry_run:
        _show_only(files, options, json)
        return
    url = url_for_input(Settings.from_environment())
    reports = []
    for path in files:
        reports.append(load(url, read_file(path, now=current_time(url), **options), path.name))
        if not json:
            show_report(reports[-1])
    if json:
        print_json([asdict(report) for report in reports])
    else:
        out.print("Next: knowdefeat run", style="dim")


def _show_only(files: list[Path], options: dict[str, Any], json: bool) -> None:
    """Without a database there is no clock but this machine's, and no trade to compare with."""
    readings = {path.name: read_file(path, now=datetime.now(UTC), **options) for path in files}
    if json:
        print_json([as_record(name, reading) for name, reading in readings.items()])
        return
    for name, reading in readings.items():
        show_reading(name, reading)
