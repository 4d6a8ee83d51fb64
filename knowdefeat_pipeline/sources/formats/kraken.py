"""Kraken's history of trades: a row a fill, in UTC.

Fees are stated in the quote currency, whatever they were taken from. What was not bought on margin can be sold only as
far as it was bought. A bot accounts in one currency: there is one for each that was paid in.
"""

import re

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows

QUOTES = "USDT|USDC|RLUSD|PYUSD|USD|EUR|GBP|CAD|AUD|CHF|JPY|DAI|XBT|ETH"
OLD_QUOTES = "Z(?:USD|EUR|GBP|CAD|AUD|JPY)|X(?:XBT|ETH)"
PAIR = re.compile(
    r"^(?:(?P<named_base>[A-Z0-9.]+)/(?P<named_quote>[A-Z0-9.]+)"
    rf"|[XZ](?P<old_base>[A-Z0-9]{{3}})(?=(?:{OLD_QUOTES})$)[XZ](?P<old_quote>[A-Z]{{3}})"
    rf"|(?P<base>[A-Z0-9.]+?)(?P<quote>{QUOTES}))$"
)
"""`XBT/USD`, `XXBTZUSD`, as older markets are called, and `SOLUSDT`, which ends with the longest quote that fits. The
whole name is one of these, or its fills are held."""
MIXED = {"USDTZUSD": "USDT/USD"}
"""Half of the old way: any other Z before a quote is the end of the base, as in `XTZUSD`."""


def prepare(rows: Rows) -> Rows:
    """Fills as trades; a sale is a negative quantity."""
    sold = rows.text("type").str.lower() == "sell"
    named = rows.text("pair").str.upper().replace(MIXED).str.extract(PAIR)
    base, quote = (
        named[f"named_{name}"].fillna(named[f"old_{name}"]).fillna(named[name]) for name in ("base", "quote")
    )
    on_margin = np.nan_to_num(rows.number("margin")) != 0
    fills = pd.DataFrame(
        {
            "bot_id": (rows.account or "kraken") + " " + quote,
            "ticker": base + "/" + quote,
            "time": rows.time("time"),
            "quantity": rows.number("vol") * np.where(sold, -1, 1),
            "price": rows.number("price"),
            "fee": rows.number("fee"),
            "fee_currency": np.nan,
            "quote_currency": quote,
            "position_side": pd.Series("LONG", range(len(rows)), dtype="str").mask(on_margin),
            "order_id": rows.text("ordertxid"),
            "id": rows.text("txid"),
        }
    )
    return as_trades(rows, fills)


FORMAT = Format(
    name="kraken",
    title="Kraken's history of trades",
    headings=("txid", "ordertxid", "pair", "time", "type", "ordertype", "price", "cost", "fee", "vol"),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
)
