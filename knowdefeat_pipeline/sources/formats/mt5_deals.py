"""MetaTrader 5's deals, in the columns of its Python package: one or more into a position and out of it.

Times count the seconds of the server's clock. A position that was turned around in one deal is held: what of it is
which trade is not said. Sizes are lots: the net pnl is taken at its word. Without a currency, which deals do not name,
figures are in USD or what --currency says.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats.mt5_report import ASK

BUY, SELL = 0, 1
INTO, OUT, TURNED, OUT_BY = 0, 1, 2, 3
CLOSES = 1e-9
"""Lots that may be left."""


def prepare(rows: Rows) -> Rows:
    """A row a position: that of its last deal."""
    rows = rows.where(np.isin(rows.number("type"), (BUY, SELL)), "balance, credit and the like")
    into, out = rows.number("entry") == INTO, np.isin(rows.number("entry"), (OUT, OUT_BY))
    volume, price = np.nan_to_num(rows.number("volume")), np.nan_to_num(rows.number("price"))
    net = sum(np.nan_to_num(rows.number(name)) for name in ("profit", "commission", "swap", "fee"))
    millis = rows.number("time_msc") if rows.has("time_msc") else rows.number("time") * 1000
    deals = pd.DataFrame(
        {
            "position": rows.text("position_id"),
            "at": millis,
            "place": np.arange(len(rows)),
            "in_time": np.where(into, millis, np.nan),
            "out_time": np.where(out, millis, np.nan),
            "in_volume": volume * into,
            "out_volume": volume * out,
            "paid": volume * price * into,
            "received": volume * price * out,
            "exits": out.astype(float),
            "turned": rows.number("entry") == TURNED,
            "side": pd.Series(np.where(rows.number("type") == BUY, "LONG", "SHORT")).where(into),
            "magic": rows.text("magic").where(into),
            "fees": -np.nan_to_num(rows.number("commission")) - np.nan_to_num(rows.number("fee")),
            "swap": np.nan_to_num(rows.number("swap")),
            "net": net,
        }
    ).sort_values("at", kind="stable")
    by = deals.groupby("position", sort=False)
    first, sums = by[["side", "magic", "in_time"]].first(), by[["in_volume", "out_volume", "paid", "received"]].sum()
    whole = pd.concat([first, sums, by[["fees", "swap", "net", "exits"]].sum(), by["turned"].any()], axis=1)
    whole = whole.assign(out_time=by["out_time"].max(), place=by["place"].max()).sort_values("place")
    kept = np.isin(np.arange(len(rows)), whole["place"])
    is_open = (whole["out_volume"] < whole["in_volume"] - CLOSES).to_numpy(bool)
    with np.errstate(all="ignore"):
        entry, leave = whole["paid"] / whole["in_volume"], whole["received"] / whole["out_volume"]
    return rows.where(kept).making(
        source_trade_id=whole.index.to_series().astype("str"),
        bot_id=whole["magic"].astype("str").reset_index(drop=True),
        direction=whole["side"].mask(whole["turned"], "turned around in one deal").astype("str"),
        status=np.where(is_open, "open", "closed"),
        entry_time=_moments(whole["in_time"]),
        exit_time=_moments(whole["out_time"].mask(is_open)),
        entry_price=entry.to_numpy(float),
        exit_price=leave.mask(is_open).to_numpy(float),
        fees=whole["fees"].mask(is_open).to_numpy(float),
        funding=whole["swap"].mask(is_open).to_numpy(float),
        reported_pnl=whole["net"].mask(is_open).to_numpy(float),
        exits=np.maximum(whole["exits"].to_numpy(float), 1.0),
    )


def _moments(millis: pd.Series) -> pd.Series:
    """Times of the server's clock, which has no zone here."""
    return pd.to_datetime(millis, unit="ms").dt.as_unit("us").reset_index(drop=True)


FORMAT = Format(
    name="mt5_deals",
    title="a table of deals of MetaTrader 5",
    headings=("ticket", "time", "type", "entry", "magic", "position_id", "volume", "price", "profit", "symbol"),
    fields={"ticker": "symbol"},
    prepare=prepare,
    terms={"pnl": "stated", "side": "position"},
    clock=None,
    ask=ASK,
    by_pair=False,
)
