"""freqtrade's backtest results: JSON, alone or in a ZIP with the strategy and its settings.

Each strategy has its trades, newest first, with their orders within. A trade has no id: strategy, pair and the time of
its entry name it. A run is a bot of its own, as the runs of one strategy differ in their settings and overlap in time.
"""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats import freqtrade

OF_STRATEGY = ("stake_currency", "starting_balance", "backtest_run_start_ts")


def rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The trades of all strategies, with what is said of their strategy."""
    strategies = document.get("strategy") if isinstance(document, dict) else None
    if not isinstance(strategies, dict) or not strategies:
        return None
    if not all(isinstance(one, dict) and isinstance(one.get("trades"), list) for one in strategies.values()):
        return None
    return [
        {"strategy": name, **trade, **{key: strategy.get(key) for key in OF_STRATEGY}}
        for name, strategy in strategies.items()
        for trade in strategy["trades"]
        if isinstance(trade, dict)
    ]


def prepare(rows: Rows) -> Rows:
    """Ids and bots, and the amounts of whole positions."""
    since = rows.number("open_timestamp").astype(np.int64).astype(str)
    strategy, run = rows.text("strategy"), rows.number("backtest_run_start_ts")
    started = pd.Series([_run(at) for at in run], dtype="str")
    rows = rows.making(
        source_trade_id=strategy + "/" + rows.text("pair") + "/" + since,
        bot_id=strategy + started,
        direction=np.where(rows.text("is_short") == "true", "SHORT", "LONG"),
        status="closed",
    )
    return freqtrade.whole(rows, _orders(rows), np.zeros(len(rows), bool), "profit_abs")


def _run(at: float) -> str:
    return "" if np.isnan(at) else f" ({datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S})"


def _orders(rows: Rows) -> pd.DataFrame:
    """What the orders of each trade filled; those of a trade that the end of the run closed have no exit."""
    places = pd.Index(range(len(rows)))
    found = [orders or [] for orders in json.loads(f"[{','.join(rows.text('orders').fillna('null'))}]")]
    every = [order for of_trade in found for order in of_trade]
    orders = pd.DataFrame(every, columns=["ft_is_entry", "amount", "safe_price"])
    return freqtrade.totals(
        pd.DataFrame(
            {
                "trade": np.repeat(places, [len(of_trade) for of_trade in found]),
                "is_entry": orders["ft_is_entry"],
                "units": orders["amount"],
                "price": orders["safe_price"],
            }
        ),
        places,
    )


FORMAT = Format(
    name="freqtrade_backtest",
    title="a backtest of freqtrade",
    headings=("strategy", "pair", "fee_open", "open_rate", "close_rate", "profit_abs", "open_timestamp"),
    fields={
        "strategy_id": "strategy",
        "ticker": "pair",
        "entry_time": "open_timestamp",
        "exit_time": "close_timestamp",
        "reported_pnl": "profit_abs",
        "quote_currency": "stake_currency",
        "exit_reason": ("exit_reason", "sell_reason"),
        "capital": "starting_balance",
    },
    prepare=prepare,
    terms=freqtrade.FORMAT.terms,
    rows_of=rows_of,
    rank=3,
)
