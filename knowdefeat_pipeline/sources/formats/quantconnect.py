"""QuantConnect's and LEAN's closed trades: their CSV, or the result of a backtest (JSON), in UTC.

The profit is gross; fees stand beside it. What a contract is worth follows from the figures. Neither form has a fixed
id: a trade is known by its symbol and time of entry.
"""

from typing import Any

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows, multipliers, numbered

SYMBOL = ("Symbols", "Symbol")
OF_TRADE = {
    "entryTime": "Entry Time",
    "exitTime": "Exit Time",
    "direction": "Direction",
    "entryPrice": "Entry Price",
    "exitPrice": "Exit Price",
    "quantity": "Quantity",
    "profitLoss": "P&L",
    "totalFees": "Fees",
    "isWin": "IsWin",
}
"""What the result of a backtest calls the columns of the CSV."""
SIDES = {"0": "Long", "1": "Short"}


def rows_of(document: Any) -> list[dict[str, Any]] | None:
    """The closed trades of a result, in the columns of the CSV."""
    trades = _at(_at(document, "totalPerformance"), "closedTrades")
    if not isinstance(trades, list) or not trades or not all(isinstance(trade, dict) for trade in trades):
        return None
    return [
        {name: _at(trade, key) for key, name in OF_TRADE.items()} | {"Symbols": _symbols(trade)} for trade in trades
    ]


def _at(document: Any, key: str) -> Any:
    """A member of an object, which older versions begin with a capital; None where there is none."""
    found = document if isinstance(document, dict) else {}
    return found.get(key, found.get(key[0].upper() + key[1:]))


def _symbols(trade: dict[str, Any]) -> str | None:
    """What was traded: one symbol, or the legs of a combination."""
    legs = _at(trade, "symbols") or [_at(trade, "symbol")]
    named = [leg if isinstance(leg, str) else _at(leg, "value") for leg in legs]
    return ";".join(name for name in named if name) or None


def prepare(rows: Rows) -> Rows:
    """Net profits, and what a contract is worth."""
    symbol = rows.text(rows.first(SYMBOL) or "")
    side = rows.text("Direction").replace(SIDES)
    short = side.str.lower().isin(("short", "sell")).to_numpy(bool)
    units, fees, gross = (rows.number(name) for name in ("Quantity", "Fees", "P&L"))
    moved = np.where(short, -1, 1) * np.abs(units) * (rows.number("Exit Price") - rows.number("Entry Price"))
    worth = multipliers(symbol, moved, gross)
    return rows.making(
        source_trade_id=numbered(symbol, rows.time("Entry Time")),
        direction=side,
        quantity=np.where(np.isfinite(worth), np.abs(units), np.nan),
        contract_multiplier=worth,
        reported_pnl=gross - np.nan_to_num(fees),
    )


FORMAT = Format(
    name="quantconnect",
    title="QuantConnect's closed trades",
    headings=(
        "Entry Time",
        SYMBOL,
        "Exit Time",
        "Direction",
        "Entry Price",
        "Exit Price",
        "Quantity",
        "P&L",
        "Fees",
        "IsWin",
    ),
    fields={
        "ticker": SYMBOL,
        "entry_time": "Entry Time",
        "exit_time": "Exit Time",
        "entry_price": "Entry Price",
        "exit_price": "Exit Price",
        "fees": "Fees",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"status": "closed"},
    rows_of=rows_of,
    is_bot=True,
)
