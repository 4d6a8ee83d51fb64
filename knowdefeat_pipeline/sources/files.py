"""CSV and Parquet files as readings."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from knowdefeat_pipeline.sources.layout import Layout, Size, SourceError, recognise
from knowdefeat_pipeline.sources.reading import RawTable, Reading, read_table

LARGEST_BLOCK = 2**30
NEWLINE = b"\n"


def read_trades(
    path: Path,
    *,
    now: datetime,
    mapping: Mapping[str, str] | None = None,
    timezone: str = "UTC",
    source: str | None = None,
    account: str | None = None,
    currency: str = "USD",
    confidence_scale: float = 1,
    size: Size | None = None,
    capital: float | None = None,
) -> Reading:
    """Read a CSV or Parquet file of trades.

    Know-Defeat's own export is recognised by its columns; of any other table, columns are found by the name of the
    field or an alias of it, and by `mapping` (column -> field). `timezone`: of times that name none. `currency`: where
    no column gives it. `confidence_scale`: 100 where the file counts signal confidence from 0 to 100. `size`: the unit
    of a size column that does not say it. `source`: overrides the source derived from format and `account`. `capital`:
    of each bot of which the file does not state it.

    Raises SourceError, naming the file, where it cannot be read as a whole.
    """
    try:
        if timezone not in available_timezones():
            raise SourceError(f"there is no time zone '{timezone}'; give an IANA name such as Europe/Zurich")
        if confidence_scale not in (1, 100):
            raise SourceError(f"the confidence scale {confidence_scale} is not known; it is 1 or 100")
        raw = read_raw(path)
        format_, columns, size_open = recognise(raw.table.column_names, mapping or {}, size)
        layout = Layout(format_, columns, timezone, currency, confidence_scale)
        return read_table(raw, layout, now, source=source, account=account, size_open=size_open, capital=capital)
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def read_raw(path: Path) -> RawTable:
    """The cells of a CSV or Parquet file, by its suffix. Raises SourceError, which does not name the file."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if not path.is_file():
        raise SourceError("there is no such file; check the path")
    zipped = path.suffix.lower() == ".gz"
    suffix = (path.with_suffix("") if zipped else path).suffix
    if suffix.lower() not in readers:
        raise SourceError(f"the suffix '{suffix}' is not known; give a {' or '.join(readers)} file")
    data = _unzip(path.read_bytes()) if zipped else path.read_bytes()
    if not data.strip():
        raise SourceError("the file is empty; fetch it again")
    raw = readers[suffix.lower()](data)
    if not raw.rows:
        raise SourceError("the table is empty: it has a header and no rows; check the export")
    return raw


def _unzip(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"the gzip file is cut short or damaged ({error}); fetch it again") from error


def _read_parquet(data: bytes) -> RawTable:
    try:
        table = pa.parquet.ParquetFile(io.BytesIO(data)).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"the Parquet file is cut short or damaged ({error}); fetch it again") from error
    _check_names(table.column_names)
    return RawTable(table, np.arange(1, table.num_rows + 1))


def _read_csv(data: bytes) -> RawTable:
    names = _header(data)
    misshapen: list[tuple[int, list[str]]] = []

    def set_aside(row: pa.csv.InvalidRow) -> str:
        misshapen.append((row.number - 1, next(csv.reader([row.text]), [])))
        return "skip"

    try:
        table = pa.csv.read_csv(
            io.BytesIO(data + b"\n"),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=min(len(data) + 2, LARGEST_BLOCK)),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"the file cannot be read as CSV ({error}); check the export") from error
    rows = table.num_rows + len(misshapen)
    if misshapen and misshapen[-1][0] == rows and len(misshapen[-1][1]) < len(names):
        raise SourceError(
            f"row {rows} is cut short in column '{names[len(misshapen[-1][1]) - 1]}' "
            f"({len(misshapen[-1][1])} of {len(names)} fields), as in a truncated file; fetch it again"
        )
    numbers = np.setdiff1d(np.arange(1, rows + 1), [number for number, _ in misshapen], assume_unique=True)
    return RawTable(table, numbers, misshapen)


def _header(data: bytes) -> list[str]:
    """The column names of CSV data that is whole: UTF-8 text, and with every quote closed."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"row {data.count(NEWLINE, 0, error.start)}, byte offset {error.start}"
        raise SourceError(f"{place}: the text is not UTF-8; save the file as UTF-8") from error
    if b"\0" in data:
        place = f"row {data.count(NEWLINE, 0, data.index(0))}, byte offset {data.index(0)}"
        raise SourceError(f"{place}: a NUL byte, so this is not text; save the file as UTF-8")
    _check_quotes(data)
    names = next(filter(None, _records(data)), [])
    _check_names(names)
    return names


def _records(data: bytes, strict: bool = False) -> Iterator[list[str]]:
    return csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), strict=strict)


def _check_quotes(data: bytes) -> None:
    """A quote that is never closed swallows the rest of the file. An odd count alone may be a quote inside a value."""
    if data.count(b'"') % 2 == 0:
        return
    rows = 0
    try:
        for record in _records(data, strict=True):
            rows += bool(record)
    except csv.Error as error:
        raise SourceError(
            f"row {rows}: a quote is not closed ({error}), as in a truncated file; fetch it again, or correct the row"
        ) from error


def _check_names(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SourceError(f"the column '{name}' appears {names.count(name)} times; give each column its own name")
