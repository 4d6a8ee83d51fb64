"""Coinbase's fills: a row a fill of its exchange, in UTC, a bot a portfolio and currency.

All money of a row is in one unit, which it names. What is sold was bought before.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows


def prepare(rows: Rows) -> Rows:
    """Fills as trades; a sale is a negative quantity. Ids are unique in a market."""
    sold = rows.text("side").str.upper() == "SELL"
    product, quote = rows.text("product"), rows.text("price/fee/total unit")
    fills = pd.DataFrame(
        {
            "bot_id": rows.text("portfolio").fillna(rows.account or "coinbase") + " " + quote,
            "ticker": product,
            "time": rows.time("created at"),
            "quantity": rows.number("size") * np.where(sold, -1, 1),
            "price": rows.number("price"),
            "fee": rows.number("fee"),
            "fee_currency": np.nan,
            "quote_currency": quote,
            "position_side": "LONG",
            "id": product + "-" + rows.text("trade id"),
        }
    )
    return as_trades(rows, fills)


FORMAT = Format(
    name="coinbase_fills",
    title="Coinbase's fills",
    headings=("trade id", "product", "side", "created at", "size", "size unit", "price", "fee", "price/fee/total unit"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
