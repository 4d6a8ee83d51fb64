"""MetaTrader 5's deals, in the columns of its Python package: one or more into a position and out of it.

Times count the seconds of the server's clock. A position that was turned around in one deal is held: what of it is
which trade is not said. So is one of which more went out than came in, as it began in an earlier file. Sizes are lots:
the net pnl is taken at its word. Without a currency, which deals do not name, figures are in USD or what --currency
says.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import UNOPENED, explaining
from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats.mt5_report import ASK

BUY, SELL = 0, 1
INTO, OUT, TURNED, OUT_BY = 0, 1, 2, 3
CLOSES = 1e-9
"""Lots that may be left."""


def prepare(rows: Rows) -> Rows:
    """A row a position: that of its last deal."""
    rows = rows.where(np.isin(rows.number("type"), (BUY, SELL)), "balance, credit and the like")
    millis = rows.number("time_msc") if rows.has("time_msc") else rows.number("time") * 1000
    entry = rows.number("entry")
    deals = pd.DataFrame(
        {
            "position": rows.text("position_id"),
            "at": pd.to_datetime(millis, unit="ms").astype("datetime64[us]"),
            "into": entry == INTO,
            "out": np.isin(entry, (OUT, OUT_BY)),
            "turned": entry == TURNED,
            "buys": rows.number("type") == BUY,
            "magic": rows.text("magic"),
        }
    )
    rows, whole = positions(rows, deals)
    return rows.making(bot_id=whole["magic"].astype("str").reset_index(drop=True))


def positions(rows: Rows, deals: pd.DataFrame) -> tuple[Rows, pd.DataFrame]:
    """Rows of deals as those of positions, and what there is of each.

    `deals`: of each row `position`, `at` (times of the server's clock, or instants), `into`, `out` and `turned` (which
    way it goes), `buys`, and whatever else the deals into a position say.
    """
    into, out = (deals[name].to_numpy(bool) for name in ("into", "out"))
    volume, price, profit, swap = (np.nan_to_num(rows.number(name)) for name in ("volume", "price", "profit", "swap"))
    fees = -sum(np.nan_to_num(rows.number(name)) for name in ("commission", "fee"))
    deals = deals.assign(
        position=deals["position"].fillna(""),  # which is refused as an id
        place=np.arange(len(rows)),
        side=pd.Series(np.where(deals["buys"], "LONG", "SHORT"), dtype="str"),
        in_time=deals["at"].where(into),
        out_time=deals["at"].where(out),
        in_volume=volume * into,
        out_volume=volume * out,
        paid=volume * price * into,
        received=volume * price * out,
        exits=out.astype(float),
        fees=fees,
        swap=swap,
        net=profit - fees + swap,
    ).sort_values("at", kind="stable")
    by = deals.groupby("position", sort=False)
    told = [name for name in deals if name not in {*OF_DEALS, *SUMS, "position"}]
    first = deals[deals["into"]].groupby("position", sort=False)[told].first()
    whole = by[[*SUMS]].sum().join(first).join(by["turned"].any())
    whole = whole.assign(out_time=by["out_time"].max(), place=by["place"].max()).sort_values("place")
    unopened = (whole["out_volume"] > whole["in_volume"] + CLOSES) & ~whole["turned"]
    makes_none = unopened | whole["turned"]
    rows = explaining(rows, np.flatnonzero(~makes_none.reindex(deals.sort_values("place")["position"]).to_numpy(bool)))
    kept = np.isin(np.arange(len(rows)), whole["place"])
    is_open = (whole["out_volume"] < whole["in_volume"] - CLOSES).to_numpy(bool)
    with np.errstate(all="ignore"):
        entry, leave = whole["paid"] / whole["in_volume"], whole["received"] / whole["out_volume"]
    return rows.where(kept).making(
        source_trade_id=whole.index.to_series().astype("str"),
        direction=whole["side"]
        .mask(whole["turned"], "turned around in one deal")
        .mask(unopened, UNOPENED)
        .astype("str"),
        status=np.where(is_open, "open", "closed"),
        entry_time=whole["in_time"].reset_index(drop=True),
        exit_time=whole["out_time"].mask(is_open).reset_index(drop=True),
        entry_price=entry.to_numpy(float),
        exit_price=leave.mask(is_open).to_numpy(float),
        fees=whole["fees"].mask(is_open).to_numpy(float),
        funding=whole["swap"].mask(is_open).to_numpy(float),
        reported_pnl=whole["net"].mask(is_open).to_numpy(float),
        exits=np.maximum(whole["exits"].to_numpy(float), 1.0),
    ), whole


OF_DEALS = ("at", "into", "out", "turned", "buys", "place", "out_time")
SUMS = ("in_volume", "out_volume", "paid", "received", "exits", "fees", "swap", "net")

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
