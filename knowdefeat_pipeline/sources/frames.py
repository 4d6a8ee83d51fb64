"""Trades that are already under the names and terms of our own: the simulator's, another program's."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.sources import exported
from knowdefeat_pipeline.sources.fields import FIELDS
from knowdefeat_pipeline.sources.layout import TABLE, Layout, recognise
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.readers import values
from knowdefeat_pipeline.sources.reading import Reading, read_table


def read_frame(frame: pd.DataFrame, source: str, now: datetime, capital: float | None = None) -> Reading:
    """A reading of a frame, validated like a file's; `capital` is that of each of its bots. Raises SourceError for
    missing columns or wrong types."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    format_, columns = recognise(table.column_names, {})
    raw = RawTable(table, np.arange(1, len(frame) + 1))
    return read_table(raw, Layout(format_, columns, capital=capital), now, source=source)


def read_records(rows: Sequence[Mapping[str, Any]], source: str, now: datetime) -> Reading:
    """A reading of trades, each by field, validated like a file's; what a row does not have is missing. Raises
    SourceError."""
    given = [name for name, field in FIELDS.items() if field.required or any(row.get(name) is not None for row in rows)]
    return read_table(_raw(rows, given), Layout(TABLE, {name: name for name in given}), now, source=source)


def read_exported(rows: Sequence[Mapping[str, Any]], source: str, now: datetime) -> Reading:
    """A reading of trades as our own export has them, in which nothing is decided. Raises SourceError."""
    layout = exported.layout()
    return read_table(_raw(rows, [*layout.columns]), layout, now, source=source)


def _raw(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> RawTable:
    table = values.table(names, ([row.get(name) for row in rows] for name in names))
    return RawTable(table, np.arange(1, len(rows) + 1))
