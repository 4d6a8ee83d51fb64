"""`ingest`: trades from files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.options import (
    Account,
    Author,
    ConfidenceScale,
    Contract,
    CurrencyOfFile,
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
    Timezone,
    parse_pairs,
    parse_terms,
)
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.quarantine import release_corrected
from knowdefeat_pipeline.store.trades import LoadReport, load_trades


def read_file(
    path: Path,
    map_: list[str] | None = None,
    timezone: str = "UTC",
    source: str | None = None,
    account: str | None = None,
    currency: str = "USD",
    confidence_scale: int = 1,
    terms: Mapping[str, Any] | None = None,
    duplicates: str | None = None,
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
        terms=terms,
        holds_duplicates=_holds(duplicates),
        now=now,
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
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of trades.")],
    map_: Map = None,
    timezone: Timezone = "UTC",
    source: Source = None,
    account: Account = None,
    currency: CurrencyOfFile = "USD",
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
    json: Json = False,
) -> None:
    """Load trades from CSV or Parquet files; loading a file twice changes nothing."""
    terms = parse_terms(size, fees, side, multiplier, contract, leverage, pnl)
    url = url_for_input(Settings.from_environment())
    reports = []
    for path in files:
        now = current_time(url)
        reading = read_file(path, map_, timezone, source, account, currency, confidence_scale, terms, duplicates, now=now)
        reports.append(load(url, reading, path, replaces=replace, author=author))
        if not json:
            show_report(reports[-1])
    if json:
        print_json([asdict(report) for report in reports])
    else:
        out.print("Next: knowdefeat run", style="dim")
