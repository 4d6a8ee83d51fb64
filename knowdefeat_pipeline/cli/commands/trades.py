"""`ingest`: trades from files."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.options import (
    Account,
    Author,
    BotOfFile,
    CapitalOfFile,
    ConfidenceScale,
    Contract,
    CurrencyOfFile,
    DatesOfFile,
    DecimalOfFile,
    DirectionOfFile,
    Duplicates,
    Fees,
    Json,
    Leverage,
    Map,
    Multiplier,
    Pnl,
    Replace,
    Side,
    Size,
    Source,
    StatusOfFile,
    TableOfFile,
    TickerOfFile,
    Timezone,
    parse_pairs,
    parse_terms,
)
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.readings import as_record, show_reading
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.quarantine import release_corrected
from knowdefeat_pipeline.store.trades import LoadReport, load_trades


def read_file(
    path: Path,
    *,
    now: datetime,
    map_: list[str] | None = None,
    confidence_scale: int = 1,
    duplicates: str | None = None,
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
        holds_duplicates=_holds(duplicates),
        constants={"bot_id": bot, "ticker": ticker, "direction": direction, "status": status},
        **options,
    )


def _holds(duplicates: str | None) -> bool | None:
    if duplicates not in (None, "keep", "hold"):
        raise typer.BadParameter(f"--duplicates {duplicates}: keep or hold")
    return None if duplicates is None else duplicates == "hold"


def load(url: str, reading: Reading, path: Path, *, replaces: bool = False, author: str = "manual") -> LoadReport:
    """Load a reading of a file; a simulated fleet makes room for the first real trades.

    Rows that had been held and that its corrections have recorded are settled.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    report = load_trades(url, reading, path.name, replaces=replaces, author=author, content_hash=digest)
    if replaces:
        release_corrected(url, reading.source, report.import_id, current_time(url))
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
    fees: Fees = None,
    side: Side = None,
    multiplier: Multiplier = None,
    contract: Contract = None,
    leverage: Leverage = None,
    pnl: Pnl = None,
    duplicates: Duplicates = None,
    replace: Replace = False,
    author: Author = "manual",
    capital: CapitalOfFile = None,
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
        "terms": parse_terms(size, fees, side, multiplier, contract, leverage, pnl),
        "duplicates": duplicates,
        "capital": capital,
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
        reading = read_file(path, now=current_time(url), **options)
        reports.append(load(url, reading, path, replaces=replace, author=author))
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
