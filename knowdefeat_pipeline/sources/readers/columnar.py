"""Parquet, and Arrow's own files and streams (Feather)."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, repeated


def read_parquet(data: bytes) -> RawTable:
    """Raises SourceError for a file that is damaged."""
    try:
        return _raw(pa.parquet.ParquetFile(io.BytesIO(data)).read(), "Parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"the Parquet file is cut short or damaged ({error}); fetch it again") from error


def read_arrow(data: bytes) -> RawTable:
    """An Arrow IPC file or Feather, of either version. Raises SourceError for a file that is damaged."""
    try:
        return _raw(pa.feather.read_table(pa.BufferReader(data), memory_map=False), "Arrow")
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"the Arrow file is cut short or damaged ({error}); fetch it again") from error


def read_arrow_stream(data: bytes) -> RawTable:
    """An Arrow IPC stream. Raises SourceError for one that is damaged."""
    try:
        return _raw(pa.ipc.open_stream(data).read_all(), "Arrow stream")
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"the Arrow stream is cut short or damaged ({error}); fetch it again") from error


def _raw(table: pa.Table, format_: str) -> RawTable:
    if name := repeated(table.column_names):
        count = table.column_names.count(name)
        raise SourceError(f"the column '{name}' appears {count} times; give each column its own name")
    return RawTable(table, np.arange(1, table.num_rows + 1), origin=Origin(format_))
