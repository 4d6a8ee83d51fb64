"""Histories to judge a learner by: tables with named columns, refused as a whole where a cell cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.amounts import LEAST_MONEY, UNITS_BOUND, is_impossible
from knowdefeat_pipeline.core.escaping import PLAIN_NAME, printable, shortened
from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources import cells
from knowdefeat_pipeline.sources.canonical import KINDS, is_no_plain_name
from knowdefeat_pipeline.sources.fields import Kind
from knowdefeat_pipeline.sources.files import read_raw
from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import RawTable

Column = Kind | Literal["clock"]
"""A kind of cell, or `clock`: all ISO timestamps, or all plain numbers."""

COMPUTABLE = f"numbers are 0 or from {LEAST_MONEY:g} to below {UNITS_BOUND:g} in size"


def read_table(
    path: Path, required: Mapping[str, Column], optional: Mapping[str, Column], gaps: Collection[str] = ()
) -> pd.DataFrame:
    """The named columns of a CSV or Parquet file, rows in the file's order.

    Cells of `required` columns hold a value, but for those in `gaps`; an `optional` column may be absent, and its cells
    empty. Numbers are finite, and such that their powers are too. Times without a zone are UTC.
    Raises SourceError, naming file, column, row and remedy, for whatever is not so; other columns are not read.
    """
    try:
        raw = read_raw(path)
        if raw.misshapen:
            raise SourceError(f"row {raw.misshapen[0][0]} has another number of fields than the header; mend the row")
        seen = raw.table.column_names
        missing = [name for name in required if name not in seen]
        if missing:
            raise SourceError(
                f"no column {', '.join(missing)}; the columns are {', '.join(seen)}: rename or add what is missing"
            )
        wanted = {**required, **{name: kind for name, kind in optional.items() if name in seen}}
        empty = {*optional, *gaps}
        return pd.DataFrame({name: _read(raw, name, kind, name in empty) for name, kind in wanted.items()})
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error


def _read(raw: RawTable, name: str, kind: Column, may_be_empty: bool) -> pd.Series:
    column = raw.table.column(name)
    as_kind: Kind = _clock(column) if kind == "clock" else kind
    if not cells.accepts(as_kind, column.type):
        raise SourceError(f"column '{name}': type {column.type} cannot hold {KINDS[as_kind]}; correct the column")
    read = cells.read(as_kind, column, "UTC")
    values = read.values
    if as_kind not in ("text", "time"):
        numbers = values.to_numpy(np.float64)
        _refuse(raw, name, np.isinf(numbers), "is not finite; give a number, or leave the cell empty where it may be")
        impossible = is_impossible(numbers, LEAST_MONEY, UNITS_BOUND)
        _refuse(raw, name, impossible, f"cannot be computed with: {COMPUTABLE}; change the unit, or correct the cell")
    _refuse(raw, name, read.unreadable, f"cannot be read as {KINDS[as_kind]}; correct the cell")
    if as_kind == "text":
        _refuse(raw, name, is_no_plain_name(values), f"is no plain name; {PLAIN_NAME}")
    if not may_be_empty:
        _refuse(raw, name, values.isna().to_numpy(), "is no value, and one is needed in every row; fill the cell")
    return values


def _clock(column: pa.ChunkedArray) -> Kind:
    """Numbers where the type says so, or the first text that is there."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return "time" if pa.types.is_temporal(column.type) else "amount"
    texts = pc.drop_null(column.slice(0, 1000))
    is_number = len(texts) and pc.match_substring_regex(texts[:1], cells.NUMBER, ignore_case=True)[0].as_py()
    return "amount" if is_number else "time"


def _refuse(raw: RawTable, name: str, bad: Bools, problem: str) -> None:
    if bad.any():
        first = int(bad.argmax())
        value = raw.table.column(name)[first].as_py()
        shown = "" if value is None else shortened(printable(str(value)))
        raise SourceError(f"row {raw.row_number[first]}, column '{name}': '{shown}' {problem}")
