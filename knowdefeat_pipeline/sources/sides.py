"""Which side trades were on: by the sign of their sizes, and by the prices at which a stated pnl was made."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources.evidence import EVIDENCE
from knowdefeat_pipeline.sources.fields import SIZES
from knowdefeat_pipeline.sources.options import Side

NEGATIVE = r"^\s*([-−]|\()\s*[\d.,]"
"""A number below 0 as people write it."""


def has_negative(column: pa.ChunkedArray) -> bool:
    """Whether a cell of a raw column is a number below 0.

    >>> has_negative(pa.chunked_array([["1.5", "-2"]])), has_negative(pa.chunked_array([[1.5, 2.0]]))
    (True, False)
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return bool(pc.any(pc.match_substring_regex(column, NEGATIVE)).as_py())
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return is_number and bool(pc.any(pc.less(column, 0)).as_py())


def of_signed_sizes(frame: pd.DataFrame, *, told: bool) -> pd.DataFrame:
    """Rows as read with sizes above 0, where a negative one is that of a SHORT position.

    It is where no direction is `told`, which then follows from the sign, and where the two agree. `contrary` is added:
    the first size whose sign says another side than the row; it stays as it is written.
    """
    contrary: pd.Series = pd.Series(np.nan, index=frame.index, dtype="str")
    is_signed: pd.Series = pd.Series(False, index=frame.index)
    for name in SIZES:
        negative = frame[name] < 0
        if not negative.any():
            continue
        if not told:
            sided = pd.Series(np.where(negative, "SHORT", "LONG"), frame.index).where(frame[name].notna())
            frame = frame.assign(direction=frame["direction"].fillna(sided))
        short = frame["direction"] == "SHORT"
        positive = (frame[name] > 0) & ((negative & short).sum() > (~negative & short).sum())
        odd = (negative & (frame["direction"] == "LONG")) | (positive & short)
        is_signed |= negative & short
        contrary = contrary.mask(odd & contrary.isna(), name)
        frame = frame.assign(**{name: frame[name].mask(negative & short, -frame[name])})
    return frame.assign(contrary=contrary, is_signed=is_signed)


def notes(frame: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """What to say of sizes that had a sign."""
    if not frame["is_signed"].any():
        return []
    of = " and ".join(f"'{columns[name]}'" for name in SIZES if name in columns)
    return [f"negative sizes in {of} are those of SHORT positions"]


def proved_by_prices(frame: pd.DataFrame) -> Side | None:
    """Whether the sides are those of the positions or of the orders that closed them, by the stated pnl of closed
    trades: a position that gained moved its way. None where prices and pnl do not tell.

    Costs may turn the sign of a small gain: the half of the trades with the greater moves is asked.
    """
    closed = (frame["status"] == "closed") & frame["direction"].isin(("LONG", "SHORT"))
    stated = frame["reported_pnl"].to_numpy(float)
    with np.errstate(all="ignore"):
        moved = np.log(frame["exit_price"].to_numpy(float) / frame["entry_price"].to_numpy(float))
    tells = closed.to_numpy(bool) & np.isfinite(moved) & (moved != 0) & np.isfinite(stated) & (stated != 0)
    if not tells.any():
        return None
    tells &= np.abs(moved) >= np.median(np.abs(moved[tells]))
    long = (frame["direction"] == "LONG").to_numpy(bool)
    agree: Bools = ((moved > 0) == (stated > 0)) == long
    share = float(agree[tells].mean())
    return "position" if share >= EVIDENCE else "closing" if share <= 1 - EVIDENCE else None
