"""The rows of `bot_skill` as they are stored: one a day and window, whose figures are arrays over the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from knowdefeat_pipeline.core.rows import Columns, arrow
from knowdefeat_pipeline.core.units import micros

_OF_FLEET = ("time_window", "p_same_edge")
_FROM_THE_MARK = ("as_of",)


def fleet_rows(rows: Columns, ends: Mapping[date, datetime]) -> pa.Table:
    """Rows of these days, to be written; those of a day and window follow one another. `ends`: the as_of of each."""
    as_of, window = rows["as_of"], rows["time_window"]
    differs = (as_of[1:] != as_of[:-1]) | (window[1:] != window[:-1])
    begin = np.flatnonzero(np.append(True, differs) if len(as_of) else [])
    offsets = pa.array(np.append(begin, len(as_of)), pa.int32())
    number = np.searchsorted(micros([*ends.values()]), as_of[begin])
    columns = {"day": pa.array([*ends], pa.date32()).take(pa.array(number))}
    for name, values in rows.items():
        if name in _OF_FLEET:
            columns[name] = arrow(name, values[begin])
        elif name not in _FROM_THE_MARK:
            columns[name] = pa.ListArray.from_arrays(offsets, arrow(name, values))
    return pa.table(columns)
