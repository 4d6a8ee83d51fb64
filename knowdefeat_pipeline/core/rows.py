"""Rows of a result as plain columns, between where they are computed and where they are written.

As a rule there are few rows of many columns, and a frame of them costs more than their figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from knowdefeat_pipeline.core.units import NEVER, Array, Bools, Ints

if TYPE_CHECKING:  # loaded where they are needed: who reads columns alone pays for neither
    import pandas as pd
    import pyarrow as pa

Columns: TypeAlias = dict[str, Array]
"""Arrays of one length. Instants are int64 (µs, NEVER where there is none), texts objects (None: none), ranks and other
numbers that may be missing floats (NaN: none)."""

INSTANTS = ("as_of", "first_exit", "last_exit", "window_first_exit", "drawdown_since")
TEXTS = ("ticker", "main_ticker", "main_direction", "reason", "time_window", "variable")
RANKS = ("rank",)


def chosen(columns: Mapping[str, Array], rows: Ints | Bools) -> Columns:
    """These rows."""
    return {name: values[rows] for name, values in columns.items()}


def codes(values: Array | pd.Series) -> Ints:
    """Numbers from 0 on, the same for what is equal: each value's place among those that differ.

    >>> codes(np.array(["b", None, "b"], object)).tolist()
    [0, 1, 0]
    """
    if not isinstance(values, np.ndarray):
        import pandas as pd

        values = pd.factorize(values)[0]
    if values.dtype != object:
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    number = {value: place for place, value in enumerate(dict.fromkeys(values.tolist()))}
    return np.fromiter(map(number.__getitem__, values.tolist()), np.int64, len(values))


def joined(parts: Sequence[Mapping[str, Array]]) -> Columns:
    """The rows of all parts (one at least), which have the same columns; those of a single part are not copied."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def replaced(columns: Columns, bots: Ints, rows: Columns) -> Columns:
    """The rows, by bot, with `rows` in place of those of these bots."""
    bot = columns["bot_id"]
    stays = np.flatnonzero(~np.isin(bot, bots))
    owner = np.concatenate([bot[stays], rows["bot_id"]])
    order = np.argsort(owner, kind="stable")
    taken = np.concatenate([stays, len(bot) + np.arange(len(rows["bot_id"]))])[order]
    return {name: np.concatenate([values, rows[name]])[taken] for name, values in columns.items()}


def differing(columns: Columns, others: Columns) -> Ints | None:
    """The bots, with a row each, whose rows differ in more than their as_of; None where not the same bots have rows."""
    order, other_order = np.argsort(columns["bot_id"]), np.argsort(others["bot_id"])
    bots = columns["bot_id"][order]
    if not np.array_equal(bots, others["bot_id"][other_order]):
        return None
    differs = np.zeros(len(bots), bool)
    for name in columns.keys() - {"as_of"}:
        new, old = columns[name][order], others[name][other_order]
        differs |= (new != old) & ~((new != new) & (old != old))  # NaN is equal to NaN here
    return bots[differs]


def as_frame(columns: Mapping[str, Array]) -> pd.DataFrame:
    """A frame whose column types do not depend on what is in it."""
    import pandas as pd

    typed: dict[str, Any] = dict(columns)
    typed |= {name: instants(columns[name]) for name in INSTANTS if name in columns}
    typed |= {name: pd.array(columns[name], dtype="str") for name in TEXTS if name in columns}
    typed |= {name: pd.Series(columns[name]).astype("Int32").array for name in RANKS if name in columns}
    return pd.DataFrame(typed, copy=False)


def as_arrow(columns: Mapping[str, Array]) -> pa.Table:
    """A table in which what there is none of is NULL."""
    import pyarrow as pa

    return pa.table({name: arrow(name, values) for name, values in columns.items()})


def as_columns(table: pa.Table) -> Columns:
    """What `as_arrow` made a table of, however it was kept meanwhile."""
    return {name: _column(name, table[name]) for name in table.column_names}


def instants(values: Ints) -> pd.DatetimeIndex:
    """Instants as pandas knows them."""
    import pandas as pd

    return pd.DatetimeIndex(values.astype("datetime64[us]")).tz_localize("UTC")


def _column(name: str, values: pa.ChunkedArray) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if name in INSTANTS:
        values = pc.fill_null(values.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NEVER)
    out: Array = values.to_numpy(zero_copy_only=False)
    return out.astype(np.int64) if pa.types.is_integer(values.type) and not values.null_count else out


def arrow(name: str, values: Array) -> pa.Array:
    """The column of that name, in which what there is none of is NULL."""
    import pyarrow as pa

    if name in INSTANTS:
        return pa.array(values.view("datetime64[us]"), pa.timestamp("us", "UTC"))
    return pa.array(values, pa.string() if name in TEXTS else None, from_pandas=True)
