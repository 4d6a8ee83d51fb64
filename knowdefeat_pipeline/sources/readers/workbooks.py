"""Excel workbooks: a sheet with a header, below rows of titles or not."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, named
from knowdefeat_pipeline.sources.readers import archives, values
from knowdefeat_pipeline.sources.readers.header import header_place

DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What the library raises at a workbook that is none."""
Rows = list[tuple[Any, ...]]


def read_excel(data: bytes, wanted: str | None, sought: values.Sought | None) -> RawTable:
    """One sheet of a workbook. Rows are counted from 1 below its header. Raises SourceError."""
    sheets = {name: rows for name, rows in _sheets(data).items() if any(map(_filled, rows))}
    tables = {name: _below_header(rows) for name, rows in sheets.items()}
    part = values.chosen("sheet", {name: header for name, (header, _) in tables.items()}, wanted, sought)
    header, rows = tables[part]
    width = max([len(header), *(_filled(row) for row in rows)])
    names = named([*header, *[None] * (width - len(header))])
    columns = [[row[at] if at < len(row) else None for row in rows] for at in range(width)]
    kept = [at for at in range(width) if (at < len(header) and header[at]) or any(v is not None for v in columns[at])]
    table = values.table([names[at] for at in kept], [columns[at] for at in kept])
    return RawTable(table, np.arange(1, len(rows) + 1), origin=Origin("Excel", part=part))


def _sheets(data: bytes) -> dict[str, Rows]:
    import openpyxl  # 0.2 s that only a workbook should pay

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archives.require_modest(archive, len(data))
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        return {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except DAMAGED as error:
        raise SourceError(f"the Excel file is cut short or damaged ({error}); fetch it again") from error


def _rows(sheet: Any) -> Rows:
    sheet.reset_dimensions()  # many writers state a wrong size, by which rows would be lost
    return [tuple(map(_cell, row)) for row in sheet.iter_rows(values_only=True)]


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
