"""Histories handed in for a replay: CSV or Parquet tables of given columns, read whole or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.canonical import KINDS, Kind
from knowdefeat_pipeline.sources.cells import accepts, read
from knowdefeat_pipeline.sources.files import _read_file
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.reading import RawTable


def read_table(path: Path, required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None) -> pd.DataFrame:
    """The named columns of a file, each read as its kind; other columns are left out, absent optional ones too.

    Times without a zone are UTC. A missing cell is NaN, NaT or missing text. Raises SourceError, naming file, column,
    row (the first after the header is 1) and remedy, for a missing column or an unreadable cell.
    """
    try:
        raw = _read_file(path)
        _check_shape(raw, required)
        wanted = dict(required) | {n: k for n, k in (optional or {}).items() if n in raw.table.column_names}
        return pd.DataFrame({name: _column(raw, name, kind) for name, kind in wanted.items()})
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def _check_shape(raw: RawTable, required: Mapping[str, Kind]) -> None:
    missing = [name for name in required if name not in raw.table.column_names]
    if missing:
        have = ", ".join(raw.table.column_names)
        raise SourceError(f"the table lacks the column {', '.join(missing)}; it has {have}. Add what is missing")
    if raw.misshapen:
        number, fields = raw.misshapen[0]
        count = len(raw.table.column_names)
        raise SourceError(f"row {number} has {len(fields)} fields instead of {count}; correct the row")


def _column(raw: RawTable, name: str, kind: Kind) -> pd.Series:
    column = raw.table[name]
    if not accepts(kind, column.type):
        raise SourceError(f"column '{name}' holds {column.type}; give {KINDS[kind]} in each row")
    cells = read(kind, column, "UTC")
    if cells.unreadable.any():
        at = int(np.argmax(cells.unreadable))
        value = column[at].as_py()
        raise SourceError(f"row {raw.row_number[at]}, column '{name}': {value!r} is not {KINDS[kind]}; correct it")
    return cells.values
