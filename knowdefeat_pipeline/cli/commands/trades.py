"""`ingest`: trades from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from knowdefeat_pipeline.cli.database import current_time, url_for_input
from knowdefeat_pipeline.cli.options import Author, Json, Replace
from knowdefeat_pipeline.cli.trade_files import FileOptions, with_file_options
from knowdefeat_pipeline.cli.views.output import err, out, print_json
from knowdefeat_pipeline.cli.views.readings import show_reading
from knowdefeat_pipeline.cli.views.trades import show_report
from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.sources.layout import NoTradesError, SourceError
from knowdefeat_pipeline.sources.preview import as_record
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.imports import take_in
from knowdefeat_pipeline.store.trades import LoadReport

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database."""
RECORDED = 90_000  # trades a second on two cores (benchmarks.ingest), by which the time of many is estimated


def load(url: str, reading: Reading, path: Path, *, replaces: bool = False, author: str = "manual") -> LoadReport:
    """Load a reading of a file; a simulated fleet makes room for the first real trades."""
    with err.status(_recording(len(reading.valid))), connect(url) as connection:
        report = take_in(
            connection, reading, path.name, replaces=replaces, author=author, content_hash=reading.content_hash
        )
    if report.removed:
        err.print("The simulated fleet was removed to make room for real trades.", style="dim")
    return report


def _recording(trades: int) -> str:
    """What is being done, and for how long where one would wonder."""
    seconds = trades / RECORDED
    return f"Recording {counted(trades, 'trade')}" + (f", about {seconds:.0f} s" if seconds > 2 else "")


@with_file_options
def ingest(
    files: Annotated[
        list[Path], typer.Argument(help="Files of trades, of any common kind; of a folder those that hold trades.")
    ],
    how: FileOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show how the files are read, and write nothing; needs no database.")
    ] = False,
    replace: Replace = False,
    author: Author = "manual",
    json: Json = False,
) -> None:
    """Load trades from exports of other programs, or tables of any kind; loading a file twice changes nothing.

    Files of a folder that plainly hold no trades, such as settings and pictures, are skipped and named. Where one looks
    like trades and cannot be read, the exit status is 1; what was read is recorded.
    """
    unread: list[Path] = []
    if dry_run:
        _show_only(files, how, json, unread)
    else:
        _record(files, how, json, unread, replaces=replace, author=author)
    if unread:
        err.print(f"{counted(len(unread), 'file was', 'files were')} not read, as said above.")
        raise typer.Exit(1)


def _record(
    files: list[Path], how: FileOptions, json: bool, unread: list[Path], *, replaces: bool, author: str
) -> None:
    url = url_for_input(Settings.from_environment())
    reports = []
    for path, reading in _readings(files, how, lambda: current_time(url), unread):
        reports.append(load(url, reading, path, replaces=replaces, author=author))
        if not json:
            show_report(reports[-1], str(path) if len(files) > 1 or path not in files else None)
    if json:
        print_json([asdict(report) for report in reports])
    else:
        out.print("Next: knowdefeat run", style="dim")


def _readings(
    given: list[Path], how: FileOptions, clock: Callable[[], datetime], unread: list[Path]
) -> Iterator[tuple[Path, Reading]]:
    """The files, and of folders those below them that hold trades; what the others are is said, and `unread` has those
    that look like trades.

    Raises SourceError for a file that cannot be read, and for a folder without trades.
    """
    for path in given:
        if not path.is_dir():
            yield from ((path, reading) for reading in _read(path, how, clock))
            continue
        found = 0
        for file in sorted(path.rglob("*")):
            if not file.is_file() or file.name.startswith(".") or file.name.endswith(BESIDE):
                continue
            try:
                readings = _read(file, how, clock)
            except NoTradesError:  # why not, `ingest FILE` says
                err.print(f"Skipped, as it holds no trades: {printable(str(file))}", style="dim")
                continue
            except SourceError as error:
                err.print(f"Not read: {printable(str(error))}", style="dim")
                unread.append(file)
                continue
            found += 1
            yield from ((file, reading) for reading in readings)
        if not found:
            raise SourceError(f"{path}: there is no file of trades in this folder")


def _read(file: Path, how: FileOptions, clock: Callable[[], datetime]) -> list[Reading]:
    with err.status(f"Reading {printable(file.name)}"):
        return how.read(file, clock())


def _show_only(files: list[Path], how: FileOptions, json: bool, unread: list[Path]) -> None:
    """Without a database there is no clock but this machine's, and no trade to compare with but those of the file."""
    readings = [(path.name, reading) for path, reading in _readings(files, how, lambda: datetime.now(UTC), unread)]
    if json:
        print_json([as_record(name, reading) for name, reading in readings])
        return
    for name, reading in readings:
        show_reading(name, reading)
