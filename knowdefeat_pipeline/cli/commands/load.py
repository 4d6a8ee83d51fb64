"""`ingest`: trades from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from knowdefeat_pipeline.cli.options import Json, migrated_url
from knowdefeat_pipeline.cli.views.output import err, number, out, print_json
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.simulation import sources
from knowdefeat_pipeline.store.trades import LoadReport, load_trades

SIMULATOR = "simulator"

Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Read COLUMN of the file as FIELD (repeat as needed)."),
]
Timezone = Annotated[str, typer.Option(help="Zone of times that name none (IANA name).")]
Source = Annotated[str | None, typer.Option(help="Name of the source; by default its format and account or strategy.")]
Account = Annotated[str | None, typer.Option(help="Account that the file belongs to, where several use the same ids.")]
Currency = Annotated[str, typer.Option(help="Quote currency of trades that name none.")]
Confidence = Annotated[int, typer.Option("--confidence-scale", help="Full confidence in the file: 1 or 100.")]
Size = Annotated[
    str | None, typer.Option(help="What a size column holds: notional (quote currency) or quantity (units).")
]


def read_file(
    path: Path,
    map_: Sequence[str] | None = None,
    timezone: str = "UTC",
    source: str | None = None,
    account: str | None = None,
    currency: str = "USD",
    confidence_scale: int = 1,
    size: str | None = None,
) -> Reading:
    """A file read with the options of the command line."""
    return read_trades(
        path,
        mapping=mapping_of(map_ or []),
        timezone=timezone,
        source=source,
        account=account,
        currency=currency,
        confidence_scale=confidence_scale,
        size=_size(size),
        now=datetime.now(UTC),
    )


def mapping_of(pairs: Sequence[str]) -> dict[str, str]:
    """Column -> field, from what --map was given."""
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(f"--map {pair}: write COLUMN=FIELD")
    return dict(pair.split("=", 1) for pair in pairs)


def _size(value: str | None) -> Any:
    if value not in (None, "notional", "quantity"):
        raise typer.BadParameter(f"--size {value}: notional or quantity")
    return value


def load(url: str, reading: Reading, name: str) -> LoadReport:
    """Load a reading; a simulated fleet makes room for the first real trades."""
    with connect(url) as connection:
        replaces = SIMULATOR if reading.source != SIMULATOR and SIMULATOR in sources(connection) else None
    report = load_trades(url, reading, name, replaces=replaces)
    if replaces:
        err.print("The simulated fleet was removed to make room for real trades.", style="dim")
    return report


def show_report(report: LoadReport) -> None:
    """What became of a file's rows."""
    parts = [
        f"{number(report.inserted)} new",
        f"{number(report.updated)} updated",
        f"{number(report.unchanged)} known",
        f"{number(sum(report.quarantined.values()))} quarantined",
    ]
    out.print(f"[bold]{report.file_name}[/] ({report.source}): {number(report.rows_read)} rows: {', '.join(parts)}")
    for reason, count in sorted(report.quarantined.items()):
        out.print(f"  {count:,} quarantined: {reason} (knowdefeat quarantine list)", style="yellow")
    if report.pnl_disagreements:
        out.print(
            f"  {report.pnl_disagreements:,} stated pnl values disagree with prices, size and fees: recomputed",
            style="yellow",
        )
    for note in report.notes:
        out.print(f"  {note}", style="dim")


def ingest(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of trades.")],
    map_: Map = None,
    timezone: Timezone = "UTC",
    source: Source = None,
    account: Account = None,
    currency: Currency = "USD",
    confidence_scale: Confidence = 1,
    size: Size = None,
    json: Json = False,
) -> None:
    """Load trades from CSV or Parquet files; loading a file twice changes nothing."""
    url = migrated_url()
    reports = []
    for path in files:
        reading = read_file(path, map_, timezone, source, account, currency, confidence_scale, size)
        reports.append(load(url, reading, path.name))
        if not json:
            show_report(reports[-1])
    if json:
        print_json([asdict(report) for report in reports])
    else:
        out.print("Next: knowdefeat run", style="dim")
