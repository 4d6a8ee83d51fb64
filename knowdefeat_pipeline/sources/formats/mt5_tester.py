"""MetaTrader 5's report of a backtest as HTML: its section of deals, into a position and out of it.

Deals do not name their position: it is what is held of a symbol on one side, from flat to flat. Times are those of the
server, sizes are lots: the net pnl is taken at its word. What an account's report has beside it, its positions, goes
first.
"""

import re

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats.mt5_deals import CLOSES, positions
from knowdefeat_pipeline.sources.formats.mt5_report import ASK

EXPERT, CURRENCY = re.compile(r"Expert: *(?P<name>.+)"), re.compile(r"Currency: *(?P<code>[A-Z]{3,5})\b")


def prepare(rows: Rows) -> Rows:
    """A row a position: that of its last deal."""
    rows = rows.where(rows.text("Type").str.lower().isin(("buy", "sell")), "balance, and what adds up others")
    way, buys = rows.text("Direction").str.lower(), rows.text("Type").str.lower().eq("buy")
    into = way.eq("in")
    deals = pd.DataFrame(
        {
            "at": rows.time("Time"),
            "into": into,
            "out": way.isin(("out", "out by")),
            "turned": way.eq("in/out"),
            "buys": buys,
        }
    )
    rows, _ = positions(rows, deals.assign(position=_positions(rows, into, buys.eq(into))))
    return _of_report(rows)


def _positions(rows: Rows, into: pd.Series, long: pd.Series) -> pd.Series:
    """The number of the deal that began what is held of a symbol on one side."""
    held = [rows.text("Symbol"), long]
    volume = pd.Series(np.where(into, 1, -1) * np.nan_to_num(rows.number("Volume")))
    left = volume.groupby(held).cumsum()
    began = left.groupby(held).shift(fill_value=0.0).abs() <= CLOSES
    return rows.text("Deal").where(began).groupby(held).ffill()


def _of_report(rows: Rows) -> Rows:
    """With what the report says of itself."""
    expert, currency = (next(filter(None, map(kind.match, rows.raw.titles)), None) for kind in (EXPERT, CURRENCY))
    rows = rows.making(strategy_id=expert["name"]) if expert else rows
    return rows.making(quote_currency=currency["code"]) if currency else rows


FORMAT = Format(
    name="mt5_tester",
    title="a report of MetaTrader 5's strategy tester",
    headings=(
        "Time",
        "Deal",
        "Symbol",
        "Type",
        "Direction",
        "Volume",
        "Price",
        "Order",
        "Commission",
        "Swap",
        "Profit",
    ),
    fields={"ticker": "Symbol"},
    prepare=prepare,
    terms={"pnl": "stated", "side": "position"},
    is_bot=True,
    clock=None,
    ask=ASK,
    by_pair=False,
    rank=1,
)
