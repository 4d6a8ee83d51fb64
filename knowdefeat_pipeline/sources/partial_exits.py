"""Several exits of one position, a row each under one id: one trade."""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools

ENTRY = ["source_trade_id", "bot_id", "ticker", "direction", "entry_time", "entry_price"]
"""What the rows of one position have in common."""

SUMS = ("notional", "quantity", "margin", "fees", "entry_fee", "exit_fee", "funding", "reported_pnl")


def join_partial_exits(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Rows under canonical terms, with the exits of a position joined; and how many rows became part of another.

    Joined are closed rows of one id and one entry that left at different times and all have a size. Amounts are added, the
    exit price is the average by quantity (the harmonic one of an inverse contract, so that the pnl is their sum), and what
    else there is, with the row number and the exit time, is that of the last exit. Rows of one id that differ otherwise are
    left as they are: what they contradict is found out when they are recorded.
    """
    again = frame.duplicated(["source_trade_id", "bot_id"], keep=False) & frame["source_trade_id"].notna()
    parts = frame[again & (frame["status"].str.lower() == "closed")]
    if parts.empty:
        return frame, 0
    parts = parts[_are_exits(parts)]
    if parts.empty:
        return frame, 0
    by = parts.groupby(ENTRY, sort=False, dropna=False)
    weight = parts["quantity"].fillna(parts["notional"])
    inverse = parts["contract_type"].str.lower() == "inverse"
    price = parts["exit_price"].where(~inverse, 1 / parts["exit_price"])
    total = weight.groupby([parts[name] for name in ENTRY], sort=False, dropna=False).transform("sum")
    average = (weight * price / total).groupby([parts[name] for name in ENTRY], sort=False, dropna=False).transform("sum")
    sums = {name: by[name].transform("sum", min_count=1) for name in SUMS}
    joined = parts.assign(
        **sums, exit_price=average.where(~inverse, 1 / average), exits=by["exit_price"].transform("size").astype(float)
    )
    last = joined.sort_values("exit_time", kind="stable").drop_duplicates(ENTRY, keep="last")
    kept = pd.concat([frame.drop(parts.index), last]).sort_values("row_number", ignore_index=True)
    return kept, len(parts) - len(last)


def _are_exits(parts: pd.DataFrame) -> Bools:
    """Rows of positions whose exits are all at times of their own, and sized."""
    sized = parts["notional"].notna() & parts["exit_time"].notna() & np.isfinite(parts["exit_price"])
    own_time = ~parts.duplicated([*ENTRY, "exit_time"], keep=False)
    by = parts.assign(fine=sized & own_time).groupby(ENTRY, sort=False, dropna=False)["fine"]
    alone = by.transform("size") == 1
    whole: Bools = (by.transform("all") & ~alone).to_numpy(bool)
    return whole
