"""QuantConnect's orders: a row an order, sold quantities negative, in UTC, without fees.

Only what was filled is traded. The value of an order tells what a contract is worth.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows, multipliers


def prepare(rows: Rows) -> Rows:
    """Filled orders as trades, a bot a file."""
    rows = rows.where(rows.text("Status").str.lower().eq("filled"), "orders that were not filled")
    rows = rows.noting("it has no fees: every pnl is before them")
    symbol, units, price = rows.text("Symbol"), rows.number("Quantity"), rows.number("Price")
    fills = pd.DataFrame(
        {
            "bot_id": rows.account or rows.named_after_file(),
            "ticker": symbol,
            "time": rows.time("Time"),
            "quantity": units,
            "price": price,
            "fee": 0.0,
            "fee_currency": np.nan,
            "quote_currency": rows.text("currency"),  # it has none
            "contract_multiplier": np.nan_to_num(multipliers(symbol, units * price, rows.number("Value")), nan=1.0),
        }
    )
    return as_trades(rows, fills)


FORMAT = Format(
    name="quantconnect_orders",
    title="QuantConnect's orders",
    headings=("Time", "Symbol", "Price", "Quantity", "Type", "Status", "Value", "Tag"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
