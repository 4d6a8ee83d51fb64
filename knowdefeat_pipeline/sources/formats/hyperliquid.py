"""Hyperliquid's trade history: a row a fill, with what it did to which side.

`closedPnl` of a fill is net of the fee of that fill. Everything settles in USDC. Whether the day or the month of a date
comes first follows the language of the browser.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows

SIGNS = {"OPEN LONG": 1, "CLOSE LONG": -1, "OPEN SHORT": -1, "CLOSE SHORT": 1, "BUY": 1, "SELL": -1}
TURNS = {"LONG > SHORT": -1, "SHORT > LONG": 1}
"""A fill that closes a position and opens the opposite one."""


def prepare(rows: Rows) -> Rows:
    """Fills as trades."""
    did = rows.text("dir").str.strip().str.upper()
    fee, sign = rows.number("fee"), did.map({**SIGNS, **TURNS}).to_numpy(float)
    fills = pd.DataFrame(
        {
            "bot_id": rows.account or "hyperliquid",
            "ticker": rows.text("coin"),
            "time": rows.time("time"),
            "quantity": rows.number("sz") * sign,
            "price": rows.number("px"),
            "fee": fee,
            "fee_currency": np.nan,
            "quote_currency": "USDC",
        }
    )
    return as_trades(rows, fills, rows.number("closedPnl") + fee)


FORMAT = Format(
    name="hyperliquid",
    title="Hyperliquid's trade history",
    headings=("time", "coin", "dir", "px", "sz", "fee", "closedPnl"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    times=("time",),
)
