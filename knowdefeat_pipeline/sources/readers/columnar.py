"""Parquet, and Arrow's own files and streams (Feather)."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from knowdefeat_pipeline.sources.layout import SourceError
from knowdefeat_pipeline.sources.raw import Origin, RawTable, require_columns


def read_parquet(data: bytes) -> RawTable:
    """Raises SourceError for a file that is damaged."""
    with _whole("Parquet file"):
        return _raw(pa.parquet.ParquetFile(io.BytesIO(data)).read(), "Parquet")


def read_arrow(data: bytes) -> RawTable:
    """An Arrow IPC file or Feather, of either version. Raises SourceError for a file that is damaged."""
    with _whole("Arrow file"):
        return _raw(pa.feather.read_table(pa.BufferReader(data), memory_map=False), "Arrow")


def read_arrow_stream(data: bytes) -> RawTable:
    """An Arrow IPC stream. Raises SourceError for one that is damaged."""
    with _whole("Arrow stream"):
        return _raw(pa.ipc.open_stream(data).read_all(), "Arrow stream")


@contextmanager
def _whole(what: str) -> Iterator[None]:
    """Raises SourceError for what cannot be read, and MemoryError for what is only too large."""
    try:
        yield
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"the {what} is cut short or damaged ({error}); fetch it again") from error


def _raw(table: pa.Table, format_: str) -> RawTable:
    table.validate(full=True)  # Arrow trusts a file's offsets, and would read our memory where they point beyond it
    require_columns(table.column_names)
    return RawTable(table, np.arange(1, table.num_rows + 1), origin=Origin(format_))
