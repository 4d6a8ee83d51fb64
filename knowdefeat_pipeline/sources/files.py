"""Files of trades as readings, and files of any table as raw tables: what they are is seen by their content."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.sources import clocks, exported, formats
from knowdefeat_pipeline.sources.fields import SIZES, TIMES
from knowdefeat_pipeline.sources.guess import may_be_trades, speak_of_trades
from knowdefeat_pipeline.sources.layout import (
    CONSTANTS,
    KNOW_DEFEAT,
    Layout,
    NoTradesError,
    SourceError,
    missing_fields,
    recognise,
)
from knowdefeat_pipeline.sources.names import by_name, key, short_clock
from knowdefeat_pipeline.sources.notation import decide
from knowdefeat_pipeline.sources.options import Dates, Decimal
from knowdefeat_pipeline.sources.raw import Content, RawTable
from knowdefeat_pipeline.sources.readers import archives
from knowdefeat_pipeline.sources.readers.columnar import read_arrow, read_arrow_stream, read_parquet
from knowdefeat_pipeline.sources.readers.databases import read_sqlite, state
from knowdefeat_pipeline.sources.readers.documents import read_json
from knowdefeat_pipeline.sources.readers.header import TITLE_ROWS
from knowdefeat_pipeline.sources.readers.pages import read_page
from knowdefeat_pipeline.sources.readers.text import read_text
from knowdefeat_pipeline.sources.readers.values import Sought
from knowdefeat_pipeline.sources.readers.workbooks import read_excel
from knowdefeat_pipeline.sources.reading import Reading, constant, read_table
from knowdefeat_pipeline.sources.signatures import GZIP, SQLITE, ZIP

OLD_EXCEL = bytes.fromhex("d0cf11e0a1b11ae1")
PAGE = re.compile(
    rb"[\xef\xbb\xbf\xff\xfe\s]*<(!doctype|\?xml|!--|/?(html|head|body|table|div|svg|rss)\b)", re.IGNORECASE
)
"""How pages and XML begin."""
OTHERS = {
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a PDF document",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
}
"""What else begins with bytes of its own."""
HEAD = 2**16
"""How many bytes of a text that cannot be read tell what it is."""
READ = "CSV, TSV, Parquet, Arrow, JSON, NDJSON, Excel (.xlsx) and SQLite files are read, gzipped, in a ZIP, or not"


def read_trades(
    path: Path,
    *,
    now: datetime,
    mapping: Mapping[str, str] | None = None,
    timezone: str | None = None,
    source: str | None = None,
    account: str | None = None,
    currency: str | None = None,
    confidence_scale: float = 1,
    terms: Mapping[str, Any] | None = None,
    holds_duplicates: bool | None = None,
    capital: float | None = None,
    constants: Mapping[str, str | None] | None = None,
    decimal: Decimal | None = None,
    dates: Dates | None = None,
    table: str | None = None,
    of_source: str | None = None,
    content: Path | None = None,
    grows: bool = False,
) -> Reading:
    """Read a file of trades: a table of text, Parquet, Arrow, JSON, Excel or SQLite, gzipped or not.

    The exports in `sources.formats`, and Know-Defeat's own, are recognised by their columns; of any other table, and of
    one with a `mapping` (column -> field), columns are found by the name of the field or an alias of it. `timezone`:
    the clock of times that name no zone (see `clocks`); None: that of the format, or UTC. `currency`: where no column
    gives it; None takes what the file names, else USD. `confidence_scale`: 100 where the file counts signal confidence
    from 0 to 100. `terms`: fields of Terms that are known; the rest is proved by the pnl that the file states, or named
    by its columns (see `sources.proof`). `holds_duplicates`: whether rows that are alike but for their ids are one
    trade; by default only in Know-Defeat's own export, whose ids are known to be worthless. `capital`: of each bot of
    which the file does not state it. `constants`: bot_id, ticker, direction or status of trades that name none.
    `decimal`, `dates`: how numbers and dates are written, where the file leaves it open. `table`: which of several
    tables, sheets or arrays. `source`: overrides the source derived from format and `account`. Our own export needs
    none of these; of several sources in it, that of `of_source` is read, by default the first one (see
    `Reading.other_sources`). `content`: where the file is now, of which all else is as if it were at `path`; that
    may then be a mere name, as of an upload, whose folders say nothing. `grows`: whether somebody is writing it (see
    `Sought`).

    Raises SourceError, naming the file, where it cannot be read as a whole; NoTradesError, where it is plainly of
    something else.
    """
    try:
        if timezone is not None and not clocks.is_clock(timezone):
            raise SourceError(f"there is no time zone '{timezone}'; {clocks.REMEDY}")
        if confidence_scale not in (1, 100):
            raise SourceError(f"the confidence scale {confidence_scale} is not known; it is 1 or 100")
        said = _said(constants or {})

        raw = read_raw(content or path, table, replace(_sought(mapping or {}, said), grows=grows))
        raw = replace(raw, file=printable(path.name), headings=tuple(raw.table.column_names))
        if exported.is_export(raw.table.column_names) and not mapping:
            return _read_export(raw, now, source, of_source)
        known = None if mapping else formats.recognised(raw.table.column_names)
        if known:
            rows = known.prepared(raw, path if content else path.absolute(), timezone, dates, account, said)
            raw, layout, account = rows.raw, known.layout(rows), rows.account
        else:
            format_, columns = _recognised(raw, mapping or {}, said)
            layout = Layout(format_, columns, timezone or _clock(raw, columns), constants=said)
            layout = replace(layout, holds_duplicates=format_ == KNOW_DEFEAT)
        layout = replace(layout, confidence_scale=confidence_scale, capital=capital)
        if holds_duplicates is not None:
            layout = replace(layout, holds_duplicates=holds_duplicates)
        layout, notes = decide(raw, layout, decimal, dates, currency)
        layout = replace(layout, by_pair=layout.by_pair and (known is None or known.by_pair))
        return read_table(
            raw,
            layout,
            now,
            source=source,
            account=account,
            chosen={**(known.terms if known else {}), **(terms or {})},
            notes=[*([f"this is {known.title}"] if known else []), *notes],
        )
    except SourceError as error:
        raise type(error)(f"{path}: {error}") from error


def _clock(raw: RawTable, columns: Mapping[str, str]) -> str:
    """The clock of times that name no zone, where the user does not say it: that of a column of time zones, else UTC.

    Raises SourceError where headings or that column name one that is not told so.
    """
    for heading in (columns[name] for name in TIMES if name in columns):
        if letters := short_clock(heading):
            raise SourceError(
                f"'{heading}' does not tell which clock {letters} is in every season: say it with --timezone; "
                f"{clocks.REMEDY}"
            )
    column = next((name for name in raw.table.column_names if key(name) in ("timezone", "tz")), None)
    if column is None or column in columns.values():
        return "UTC"
    named = sorted({str(zone).strip() for zone in raw.table.column(column).unique().to_pylist() if zone} - {""})
    if len(named) == 1 and clocks.is_clock(named[0]):
        return named[0]
    if named:
        raise SourceError(
            f"the column '{column}' names {', '.join(named[:3])}: say with --timezone of which clock the times are; "
            f"{clocks.REMEDY}"
        )
    return "UTC"


def _recognised(raw: RawTable, mapping: Mapping[str, str], said: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Format and columns of what is no known export. Raises SourceError, which says which one it looks like."""
    columns = raw.table.column_names
    try:
        return recognise(columns, mapping, said, raw.table)
    except SourceError as error:
        alike = None if mapping else formats.alike(columns)
        if alike is None:
            raise
        raise SourceError(f"{alike} As a plain table it lacks something, too: {error}") from error


def every_source(read: Callable[[str | None], Reading]) -> list[Reading]:
    """A file as a reading, our own export of several sources as one of each. `read`: of one source, None: the first."""
    first = read(None)
    return [first, *map(read, first.other_sources)]


def _read_database(path: Path, table: str | None, sought: Sought | None) -> RawTable:
    """A table of a database, which its program may change meanwhile."""
    before, raw = state(path), read_sqlite(path, None, table, sought)
    content = Content(None, _digest(path))
    return replace(raw, content=content if state(path) == before else None)


def _digest(path: Path) -> str:
    """SHA-256 of a database and of the log of changes beside it."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
    with suppress(FileNotFoundError), path.with_name(f"{path.name}-wal").open("rb") as log:
        while part := log.read(2**20):
            found.update(part)
    return found.hexdigest()


def _read_export(raw: RawTable, now: datetime, source: str | None, of_source: str | None) -> Reading:
    raw, others = exported.as_exported(raw), list[str]()
    if source is None:
        raw, source, others = exported.of_source(raw, of_source)
    return replace(read_table(raw, exported.layout(), now, source=source), other_sources=tuple(others))


def _sought(mapping: Mapping[str, str], said: Mapping[str, str]) -> Sought:
    """A table of a known format, before one of whose columns trades can be made."""

    def rank(columns: Sequence[str]) -> float:
        known = None if mapping else formats.recognised(columns)
        if known:
            return known.rank
        given = {*by_name(columns), *mapping.values()}
        missing = [field.name for field in missing_fields(given, said)]
        by_sign = missing == ["direction"] and not given.isdisjoint(SIZES)  # which the cells may tell
        return 0.5 if by_sign else float(not missing)

    return Sought(rank) if mapping else Sought(rank, formats.beside, formats.rows_of)


def _said(constants: Mapping[str, str | None]) -> dict[str, str]:
    """What is said of the whole file, checked."""
    said = {field: text for field, text in constants.items() if text is not None}
    for field, text in said.items():
        try:
            constant(field, text, "UTC")
        except SourceError as error:
            raise SourceError(f"{CONSTANTS[field].split()[0]}: {error}") from error
    return said


def read_raw(path: Path, table: str | None = None, sought: Sought | None = None) -> RawTable:
    """The cells of a file, whatever kind it is of. Blank rows are left out.

    `table`: which table of a database, sheet of a workbook or array of a document to read. `sought`: what is looked
    for, where there are several. Raises SourceError, which does not name the file.
    """
    if not path.is_file():
        if path.exists():
            raise SourceError("this is no file but a pipe, a device or a folder; write what it gives into a file")
        raise SourceError("there is no such file; check the path")
    with path.open("rb") as file:
        if file.read(len(SQLITE)) == SQLITE:
            return _with_rows(_read_database(path, table, sought))
    if path.stat().st_size > archives.LARGEST:
        raise SourceError(f"the file has {path.stat().st_size:,} bytes; up to {archives.LARGEST:,} are read: split it")
    data = path.read_bytes()
    content = Content(len(data), hashlib.sha256(data).hexdigest())
    zipped = data.startswith(GZIP)
    if zipped:
        data = archives.unzip(data)
    if not data.strip():
        raise NoTradesError("the file is empty; fetch it again")
    suffix = (path.with_suffix("") if zipped else path).suffix.lower()
    return replace(_with_rows(_read(path, data, suffix, table, sought)), content=content)


def _read(path: Path, data: bytes, suffix: str, table: str | None, sought: Sought | None) -> RawTable:
    """By the bytes with which the content begins; by the suffix where they say nothing."""
    if data.startswith(SQLITE):
        return read_sqlite(path, data, table, sought)
    if data.startswith(b"PAR1"):
        return read_parquet(data)
    if data.startswith((b"ARROW1", b"FEA1")):
        return read_arrow(data)
    if data.startswith(b"\xff\xff\xff\xff"):
        return read_arrow_stream(data)
    if data.startswith(ZIP) and b"xl/" in data:
        return read_excel(data, table, sought)
    if data.startswith(OLD_EXCEL):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise SourceError("this document is locked by a password; save it without one, or as .csv")
        if not any(stream.encode("utf-16-le") in data for stream in ("Workbook", "Book")):
            raise NoTradesError("this is a document of Windows or of an old Office")
        raise SourceError("this is a workbook of an old Excel; save it as .xlsx or .csv")
    if data.startswith(ZIP):
        return _in_archive(data, table, sought)
    if kind := next((kind for mark, kind in OTHERS.items() if data.startswith(mark)), None):
        raise NoTradesError(f"this is {kind}; {READ}")
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n\0\xff\xfe")[:1]
    if PAGE.match(data[:2000].replace(b"\0", b"")):
        raw = read_page(data, table, sought) if sought else None
        if raw is None:
            raise NoTradesError(f"this is a page or XML; {READ}")
        return raw
    is_json = start in (b"{", b"[")
    if not is_json and suffix in (".parquet", ".feather", ".arrow", ".sqlite", ".sqlite3") and b"\0" in data:
        raise SourceError(f"the content is not that of a {suffix} file, or its beginning is damaged; fetch it again")
    try:
        return read_json(data, table, sought) if is_json else read_text(data, sought is not None and sought.grows)
    except SourceError as error:
        if _speaks_of_trades(data):
            raise
        raise NoTradesError(str(error)) from error


def _speaks_of_trades(data: bytes) -> bool:
    """Whether text that cannot be read begins with headings, or has names of values, that are those of trades."""
    head = data[:HEAD].replace(b"\0", b"").decode("latin-1")
    lines = (re.split(r"[,;\t|]", line.replace('"', "")) for line in head.splitlines()[:TITLE_ROWS])
    return speak_of_trades(re.findall(r'"([^"\\]+)"\s*:', head)) or any(map(speak_of_trades, lines))


def _with_rows(raw: RawTable) -> RawTable:
    raw = raw.without_blank_rows()
    if not raw.rows:
        raise NoTradesError("the table is empty: it has a header and no rows; check the export")
    return raw


def _in_archive(data: bytes, table: str | None, sought: Sought | None) -> RawTable:
    """The one file in a ZIP that is looked for, whatever else lies in it."""
    found, others, unread = dict[str, RawTable](), list[str](), False
    for name, content in archives.members(data):
        try:
            raw = _read(Path(name), content, Path(name).suffix.lower(), table, sought)
        except SourceError as error:  # settings, code and pictures lie beside what is looked for
            others.append(name)
            unread |= not isinstance(error, NoTradesError)
            continue
        if sought and sought.rank(raw.table.column_names):
            found[name] = raw
        else:
            others.append(name)
            unread |= may_be_trades(raw.table.column_names, raw.table)
    if len(found) == 1:
        ((name, raw),) = found.items()
        return replace(raw, origin=replace(raw.origin, part=" ".join(filter(None, [name, raw.origin.part]))))
    some = ", ".join([*(found or others)][:5]) or "none"
    kind_of_error = SourceError if found or unread else NoTradesError
    raise kind_of_error(
        f"this is a zip archive with {'several files' if found else 'no file'} of trades that can be read ({some}); "
        f"unpack it. {READ}"
    )
