"""Binance's trade history of futures: a row a fill, the newest first, in UTC.

The realised profit is stated before fees, which may be paid in another coin.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows


def prepare(rows: Rows) -> Rows:
    """Fills as trades; a sale is a negative quantity."""
    sold = rows.text("Side").str.upper() == "SELL"
    fills = pd.DataFrame(
        {
            "bot_id": rows.account or "binance_futures",
            "ticker": rows.text("Symbol"),
            "time": rows.time("Date"),
            "quantity": rows.number("Quantity") * np.where(sold, -1, 1),
            "price": rows.number("Price"),
            "fee": rows.number("Fee"),
            "fee_currency": rows.text("Fee Coin"),
            "quote_currency": rows.text("Quote Asset"),
        }
    )
    return as_trades(rows, fills, rows.number("Realized Profit"))


FORMAT = Format(
    name="binance_futures",
    title="Binance's trade history of futures",
    headings=("Date", "Symbol", "Side", "Price", "Quantity", "Fee", "Fee Coin", "Realized Profit"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    times=("Date",),
)
