"""Trades that are already a frame in canonical columns: the simulator's, another program's."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.sources.layout import Layout, recognise
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.reading import Reading, read_table


def read_frame(frame: pd.DataFrame, source: str, now: datetime, capital: float | None = None) -> Reading:
    """A reading of a frame, validated like a file's; `capital` is that of each of its bots. Raises SourceError for
    missing columns or wrong types."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    format_, columns = recognise(table.column_names, {})
    raw = RawTable(table, np.arange(1, len(frame) + 1))
    return read_table(raw, Layout(format_, columns, "UTC", "USD", 1), now, source=source, capital=capital)
