"""Several exits of one position, a row each under one id: one trade."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.trades.net_pnl import all_fees
from knowdefeat_pipeline.core.units import Array, Bools, Floats
from knowdefeat_pipeline.sources.fields import FEES

ENTRY = ["source_trade_id", "bot_id", "ticker", "direction", "entry_time", "entry_price"]
"""What the rows of one position have in common."""

SUMS = ("notional", "quantity", "margin", "reported_pnl", "entry_fee", "exit_fee")
"""What is the sum over the exits, and missing where it is missing in one of them."""

Parts = Mapping[int, tuple[int, ...]]
"""By the row number of a trade, the rows of its earlier exits."""


def join_partial_exits(frame: pd.DataFrame) -> tuple[pd.DataFrame, Parts]:
    """Rows under canonical terms, with the exits of a position joined; and the rows that became part of another.

    Joined are closed rows of one id and one entry that left at different times and all have a size. Amounts are added,
    the exit price is the average by size (the harmonic one of an inverse contract), so that the pnl is the sum of
    theirs, and what else there is, with the row number and the exit time, is that of the last exit. So 100 units left
    at 10 and 50 left at 12 are 150 left at 10.6667. Rows of one id that differ otherwise are left as they are: what
    they contradict is found out when they are recorded.
    """
    if frame["source_trade_id"].is_unique:
        return frame, {}
    again = frame.duplicated(["source_trade_id", "bot_id"], keep=False) & frame["source_trade_id"].notna()
    parts = frame[again & (frame["status"].str.lower() == "closed")]
    parts = parts[_are_exits(parts)]
    if parts.empty:
        return frame, {}
    position = parts.groupby(ENTRY, sort=False, dropna=False).ngroup().to_numpy()
    joined = _joined(parts, position).assign(position=position).sort_values("exit_time", kind="stable")
    rows = joined.groupby("position", sort=False)["row_number"].agg(tuple)
    last = joined.drop_duplicates("position", keep="last").drop(columns="position")
    kept = pd.concat([frame.drop(parts.index), last]).sort_values("row_number", ignore_index=True)
    return kept, {numbers[-1]: numbers[:-1] for numbers in rows}


def _are_exits(parts: pd.DataFrame) -> Bools:
    """Rows of positions of several exits, all at times of their own, sized, and with a price."""
    sized = parts["notional"].notna() & parts["exit_time"].notna() & np.isfinite(parts["exit_price"])
    own_time = ~parts.duplicated([*ENTRY, "exit_time"], keep=False)
    by = parts.assign(fine=sized & own_time).groupby(ENTRY, sort=False, dropna=False)["fine"]
    are: Bools = (by.transform("all") & (by.transform("size") > 1)).to_numpy(bool)
    return are


def _joined(parts: pd.DataFrame, position: Array) -> pd.DataFrame:
    """The rows, each with the amounts of its whole position."""

    def total(values: pd.Series | Floats) -> Floats:
        return np.asarray(np.bincount(position, weights=values)[position], float)

    inverse = (parts["contract_type"].str.lower() == "inverse").to_numpy(bool)
    size = np.where(inverse, parts["quantity"], parts["notional"])
    weight = size / total(size)
    price = total(weight * np.where(inverse, 1 / parts["exit_price"], parts["exit_price"]))
    fees = parts["fees"].fillna(pd.Series(all_fees(*(parts[name].to_numpy() for name in FEES)), parts.index))
    return parts.assign(
        **{name: total(parts[name]) for name in SUMS},
        fees=total(fees),
        funding=total(parts["funding"].fillna(0.0)),
        exit_price=np.where(inverse, 1 / price, price),
        exits=total(parts["exits"].fillna(1.0)),
    )
