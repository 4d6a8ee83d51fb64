"""What freqtrade's REST API says of a bot's trades, as `follow --url` writes it down: closed and open ones with orders.

Times are milliseconds since 1970. Rates and sizes of whole positions follow from the orders, as in its database.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats import freqtrade

OF_TRADE = (
    "trade_id", "pair", "is_open", "is_short", "amount", "stake_amount", "max_stake_amount", "leverage", "strategy",
    "fee_open", "fee_close", "funding_fees", "open_timestamp", "close_timestamp", "open_rate", "close_rate",
    "close_profit_abs", "exit_reason",
)  # fmt: skip
OF_ORDER = ("ft_is_entry", "filled", "safe_price")
ABOUT = "freqtrade_api"


def rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The trades, each with what is said of its bot; booleans as numbers, as in the database."""
    about = document.get(ABOUT) if isinstance(document, dict) else None
    if not isinstance(about, dict) or not isinstance(document.get("trades"), list):
        return None
    return [
        {name: int(value) if isinstance(value, bool) else value for name, value in {**trade, **about}.items()}
        for trade in document["trades"]
        if isinstance(trade, dict)
    ]


def prepare(rows: Rows) -> Rows:
    """Sizes, prices and costs of whole positions; dry runs apart."""
    is_open = rows.number("is_open") == 1
    orders = _orders(rows)
    if rows.account is None and (rows.number("dry_run") == 1).any():
        rows = replace(rows, account="dry_run")
    place = rows.text("bot") + (f" ({rows.account})" if rows.account else "")
    rows = rows.making(
        source_trade_id=rows.text("trade_id"),
        bot_id=(place + " " + rows.text("strategy")).fillna(place),
        direction=np.where(rows.number("is_short") == 1, "SHORT", "LONG"),
        status=np.where(is_open, "open", "closed"),
    )
    rows = freqtrade.whole(rows, orders, is_open, "close_profit_abs")
    return rows.where(~(is_open & (orders["entered"] == 0).to_numpy()), "their entry was not filled yet")


def _orders(rows: Rows) -> pd.DataFrame:
    """What the orders of each trade filled."""
    found = [orders or [] for orders in json.loads(f"[{','.join(rows.text('orders').fillna('null'))}]")]
    orders = pd.DataFrame([order for of_trade in found for order in of_trade], columns=[*OF_ORDER])
    places = pd.Index(range(len(rows)))
    return freqtrade.totals(
        pd.DataFrame(
            {
                "trade": np.repeat(places, [len(of_trade) for of_trade in found]),
                "is_entry": orders["ft_is_entry"],
                "units": orders["filled"].astype(float).fillna(0.0),
                "price": orders["safe_price"].astype(float).fillna(0.0),
            }
        ),
        places,
    )


FORMAT = Format(
    name="freqtrade_api",
    title="what freqtrade's API says of a bot",
    headings=(
        "trade_id",
        "pair",
        "is_open",
        "open_rate",
        "open_timestamp",
        "close_profit_abs",
        "orders",
        "bot",
        "dry_run",
    ),
    fields={
        "strategy_id": "strategy",
        "ticker": "pair",
        "entry_time": "open_timestamp",
        "exit_time": "close_timestamp",
        "reported_pnl": "close_profit_abs",
        "quote_currency": "stake_currency",
        "exit_reason": "exit_reason",
    },
    prepare=prepare,
    terms=freqtrade.FORMAT.terms,
    rows_of=rows_of,
    rank=3,
)
