"""hummingbot's database, from version 2 on: table `Executors`, a row for every position that a controller opened.

What an executor filled in quote currency is the turnover of its entry and its exit. One that filled nothing is no
trade, nor is one that left its position to another (POSITION_HOLD).
"""

import json

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Floats
from knowdefeat_pipeline.sources.format import Format, Rows

POSITION_HOLD = 10
SIDES = {"1": "LONG", "2": "SHORT", "TradeType.BUY": "LONG", "TradeType.SELL": "SHORT", "BUY": "LONG", "SELL": "SHORT"}


def prepare(rows: Rows) -> Rows:
    """What the settings and the state of each executor say, which are JSON."""
    idle = np.nan_to_num(rows.number("filled_amount_quote")) == 0
    rows = rows.where(
        ~idle & (rows.number("close_type") != POSITION_HOLD), "nothing was filled, or the position is held"
    )
    settings, state = _objects(rows.text("config")), _objects(rows.text("custom_info"))
    entry, leave = _numbers(state, "current_position_average_price"), _numbers(state, "close_price")
    is_open = np.isnan(rows.number("close_timestamp"))
    turnover = rows.number("filled_amount_quote")
    return rows.making(
        ticker=pd.Series([one.get("trading_pair") for one in settings], dtype="str"),
        direction=pd.Series([SIDES.get(str(one.get("side"))) for one in settings], dtype="str"),
        status=np.where(is_open, "open", "closed"),
        entry_price=entry,
        exit_price=np.where(is_open, np.nan, leave),
        quantity=turnover / np.where(is_open, entry, entry + leave),
        leverage=_numbers(settings, "leverage"),
        fees=np.where(is_open, np.nan, rows.number("cum_fees_quote")),
        reported_pnl=np.where(is_open, np.nan, rows.number("net_pnl_quote")),
    )


def _objects(texts: pd.Series) -> list[dict[str, object]]:
    found = json.loads(f"[{','.join(texts.fillna('{}'))}]")
    return [one if isinstance(one, dict) else {} for one in found]


def _numbers(objects: list[dict[str, object]], name: str) -> Floats:
    return pd.to_numeric(pd.Series([one.get(name) for one in objects], dtype="object"), errors="coerce").to_numpy(float)


FORMAT = Format(
    name="hummingbot",
    title="a database of hummingbot",
    headings=(
        "id",
        "type",
        "close_type",
        "config",
        "net_pnl_quote",
        "cum_fees_quote",
        "filled_amount_quote",
        "custom_info",
    ),
    fields={
        "source_trade_id": "id",
        "bot_id": "controller_id",
        "strategy_id": "type",
        "entry_time": "timestamp",
        "exit_time": "close_timestamp",
    },
    prepare=prepare,
    is_bot=True,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    rank=4,
)
