"""Tables of text: separated by commas, semicolons, tabs or bars."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.csv

from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, named, require_columns
from knowdefeat_pipeline.sources.readers.encodings import as_utf8, whole_lines
from knowdefeat_pipeline.sources.readers.header import TITLE_ROWS, header_place

LARGEST_BLOCK = 2**30
SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 2**16
"""How many bytes tell the separator and the header."""
STATED = re.compile(rb'\s*"?sep=(?P<separator>.)"?[ \t]*\r?\n', re.IGNORECASE)
"""The line by which Excel is told the separator."""


def read_text(data: bytes, grows: bool = False) -> RawTable:
    """A header and rows. Rows with another number of fields are set aside; blank rows are none.

    `grows`: see `Sought`. Raises SourceError for bytes that are no text, and for a quote that is not closed but in the
    last line.
    """
    text, encoding, notes = as_utf8(data)
    text = whole_lines(text) if grows else text
    stated = STATED.match(text)
    text = text[stated.end() :] if stated else text
    try:
        separator = stated["separator"].decode() if stated else _separator(text[:SAMPLE])
        text, cut = _without_open_quote(text, separator)
        text, title = _without_title(text, separator)
        raw = _read(text, separator, [] if grows else cut)
    except csv.Error as error:
        raise SourceError(f"a cell of the head cannot be read ({error}); fetch the file again") from error
    notes += (f"the first {title} lines are a title and are not read",) if title else ()
    return replace(raw, origin=Origin(_name(separator), encoding, separator), notes=(*notes, *raw.notes))


def _name(separator: str) -> str:
    return "TSV" if separator == "\t" else "CSV"


def _separator(head: bytes) -> str:
    """That which gives the header most fields, of those by which the rows have as many."""
    best, fields = SEPARATORS[0], 1
    for separator in SEPARATORS:
        records = [record for record in islice(_records(head, separator), TITLE_ROWS + 10) if any(record)]
        if not records:
            continue
        header = records[header_place(records)]
        alike = sum(len(record) == len(header) for record in records[1:-1])
        if len(header) > fields and (len(records) < 4 or 2 * alike >= len(records) - 2):
            best, fields = separator, len(header)
    return best


def _records(data: bytes, separator: str, strict: bool = False) -> Iterator[list[str]]:
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", errors="replace", newline="")
    return csv.reader(text, strict=strict, delimiter=separator)


def _fields(line: str, separator: str) -> list[str]:
    """The fields of a row that does not fit the header; the line itself where a cell is too long to be taken apart."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return [line]


def _without_open_quote(data: bytes, separator: str) -> tuple[bytes, list[str]]:
    """The data without a last line that a quote left open, as where a file is cut short; and the fields of that line.

    An odd count of quotes alone may be a quote inside a value. One that is left open further up swallows the rows
    after it: that is an error.
    """
    if data.count(b'"') % 2 == 0:
        return data, []
    rows = 0
    try:
        for record in _records(data, separator, strict=True):
            rows += bool(record)
    except csv.Error as error:
        end = data.rstrip(b"\r\n").rfind(b"\n") + 1
        if end and data.count(b'"', 0, end) % 2 == 0 and "end of data" in str(error):
            return data[:end], next(_records(data[end:], separator), [])
        raise SourceError(
            f"row {rows}: a quote is not closed ({error}), as in a truncated file; fetch it again, or correct the row"
        ) from error
    return data, []


def _without_title(data: bytes, separator: str) -> tuple[bytes, int]:
    """The data from the header on, and how many lines stand above it that are not blank."""
    records = [*islice(_records(data[:SAMPLE], separator), TITLE_ROWS)]
    place = header_place(records)
    first = next((at for at, record in enumerate(records) if any(map(str.strip, record))), 0)
    above = sum(any(map(str.strip, record)) for record in records[:place])
    if place <= first or above == 0:
        return data, 0
    lines = data.split(b"\n", place)
    return lines[place], above


def _read(data: bytes, separator: str, cut: list[str]) -> RawTable:
    """Rows are counted from 1 below the header; wholly empty lines are not counted."""
    header = next(filter(None, _records(data[: 2**20], separator)), [])
    names = named(header)
    require_columns(names)
    misshapen: list[tuple[int, list[str]]] = []

    def set_aside(row: pa.csv.InvalidRow) -> str:
        misshapen.append((row.number - 1, _fields(row.text, separator)))
        return "skip"

    try:
        table = pa.csv.read_csv(
            io.BytesIO(data + b"\n"),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=min(len(data) + 2, LARGEST_BLOCK)),
            parse_options=pa.csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=set_aside
            ),
            convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        ).rename_columns(names)
    except pa.ArrowInvalid as error:
        raise SourceError(f"the file cannot be read as CSV ({error}); check the export") from error
    rows = table.num_rows + len(misshapen)
    numbers = np.setdiff1d(np.arange(1, rows + 1), [number for number, _ in misshapen], assume_unique=True)
    if cut:
        rows, misshapen = rows + 1, [*misshapen, (rows + 1, cut)]
    return RawTable(table, numbers, misshapen, notes=_cut_short(misshapen, rows, names))


def _cut_short(misshapen: list[tuple[int, list[str]]], rows: int, names: list[str]) -> tuple[str, ...]:
    """What to say where the last row has too few fields: what should follow it may be missing, too."""
    number, fields = misshapen[-1] if misshapen else (0, [])
    if number != rows or not 0 < len(fields) < len(names) or not any(map(str.strip, fields)):
        return ()
    column = printable(names[len(fields) - 1])
    return (
        f"the last row is cut short in column '{column}' ({len(fields)} of {len(names)} fields), as in a truncated "
        "file: it is held, and what should follow it may be missing; fetch the file again",
    )
