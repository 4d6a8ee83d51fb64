"""hummingbot's fills: its CSV of one strategy, and the table `TradeFill` of a database without executors.

Times are milliseconds since 1970. In the database amounts are whole numbers of millionths. `position` says whether a
fill opens or closes; NIL, as on spot markets, leaves it to what is held.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.fills import as_trades
from knowdefeat_pipeline.sources.format import Format, Rows

MILLIONTHS = 1e-6


def prepare(rows: Rows) -> Rows:
    """Fills as trades, a bot a file of settings."""
    unit = MILLIONTHS if rows.raw.origin.format == "SQLite" else 1.0
    sold = rows.text("trade_type").str.upper() == "SELL"
    opens = rows.text("position").str.upper().map({"OPEN": True, "CLOSE": False})
    side = pd.Series(np.where(sold == (opens == False), "LONG", "SHORT")).where(opens.notna())  # noqa: E712
    fills = pd.DataFrame(
        {
            "bot_id": rows.text("config_file_path").str.removesuffix(".yml"),
            "strategy_id": rows.text("strategy"),
            "ticker": rows.text("symbol"),
            "time": rows.time("timestamp"),
            "quantity": rows.number("amount") * unit * np.where(sold, -1, 1),
            "price": rows.number("price") * unit,
            "fee": rows.number("trade_fee_in_quote") * unit,
            "fee_currency": np.nan,
            "quote_currency": rows.text("quote_asset"),
            "leverage": rows.number("leverage"),
            "position_side": side,
            "id": rows.text("exchange_trade_id"),
        }
    )
    return as_trades(rows, fills)


FORMAT = Format(
    name="hummingbot_fills",
    title="a table of fills of hummingbot",
    headings=(
        "config_file_path",
        "symbol",
        "timestamp",
        "trade_type",
        "price",
        "amount",
        "trade_fee",
        "exchange_trade_id",
    ),
    fields={},
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    rank=3,
)
