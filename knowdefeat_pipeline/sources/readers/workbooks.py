"""Excel workbooks: a sheet with a header, below rows of titles or not."""

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, named
from knowdefeat_pipeline.sources.readers import archives, values
from knowdefeat_pipeline.sources.readers.header import header_place
from knowdefeat_pipeline.sources.units import currency

DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What the library raises at a workbook that is none."""
_SIGN = re.compile(r'\[\$([^\]-]+)(?:-[0-9A-Fa-f]+)?\]|"([^"]+)"|([€£$])')
Rows = list[tuple[Any, ...]]


def read_excel(data: bytes, wanted: str | None, sought: values.Sought | None) -> RawTable:
    """One sheet of a workbook. Rows are counted from 1 below its header. Raises SourceError."""
    book, read = _sheets(data)
    sheets = {name: rows for name, rows in read.items() if any(map(_filled, rows))}
    tables = {name: _below_header(rows) for name, rows in sheets.items()}
    part = values.chosen("sheet", {name: header for name, (header, _) in tables.items()}, wanted, sought)
    header, rows = tables[part]
    width = max([len(header), *(_filled(row) for row in rows)])
    names = named([*header, *[None] * (width - len(header))])
    columns = [[row[at] if at < len(row) else None for row in rows] for at in range(width)]
    kept = [at for at in range(width) if (at < len(header) and header[at]) or any(v is not None for v in columns[at])]
    table = values.table([names[at] for at in kept], [columns[at] for at in kept])
    shown = _currencies(book, part, len(sheets[part]) - len(rows))
    units = {names[at]: shown[at] for at in kept if at in shown}
    return RawTable(table, np.arange(1, len(rows) + 1), origin=Origin("Excel", part=part), units=units)


def _sheets(data: bytes) -> tuple[Any, dict[str, Rows]]:
    """The workbook, and the cells of its sheets."""
    import openpyxl  # 0.2 s that only a workbook should pay

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archives.require_modest(archive, len(data))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        return book, {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except DAMAGED as error:
        raise SourceError(f"the Excel file is cut short or damaged ({error}); fetch it again") from error


def _rows(sheet: Any) -> Rows:
    sheet.reset_dimensions()  # many writers state a wrong size, by which rows would be lost
    return [tuple(map(_cell, row)) for row in sheet.iter_rows(values_only=True)]


def _currencies(book: Any, part: str, above: int) -> dict[int, str]:
    """In which currency the numbers of columns are shown, by their places: a sign that Excel shows stands in no cell.

    `above`: the rows up to the header. A column of several currencies names them all, which is none that can be read.
    """
    named = {code: currency for code in book._number_formats if (currency := currency_of(code))}
    if not named:
        return {}
    found: dict[int, set[str]] = {}
    for row in book[part].iter_rows(min_row=above + 1):
        for at, cell in enumerate(row):
            if isinstance(cell.value, int | float) and cell.number_format in named:
                found.setdefault(at, set()).add(named[cell.number_format])
    return {at: "/".join(sorted(codes)) for at, codes in found.items()}


def currency_of(code: str) -> str | None:
    """The currency that a format of numbers shows.

    >>> currency_of('#,##0.00\\\\ [$€-407]'), currency_of('#,##0.00 "USDT"'), currency_of("0.00%")
    ('EUR', 'USDT', None)
    """
    signs = (next(filter(None, found.groups())).strip() for found in _SIGN.finditer(code.split(";")[0]))
    return next((known for sign in signs if (known := currency(sign))), None)


def _cell(value: Any) -> Any:
    """Numbers that are whole as such: Excel does not tell 1 from 1.0. Blank text is nothing."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return None if isinstance(value, str) and not value.strip() else value


def _filled(row: Sequence[Any]) -> int:
    """How far a row reaches to the right."""
    return max((at for at, value in enumerate(row, 1) if value is not None), default=0)


def _below_header(rows: Rows) -> tuple[list[str], Rows]:
    place = header_place(rows)
    width = _filled(rows[place])
    return ["" if cell is None else str(cell).strip() for cell in rows[place][:width]], rows[place + 1 :]
