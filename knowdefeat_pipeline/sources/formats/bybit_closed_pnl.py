"""Bybit's closed P&L: a row for every order that closed a position or a part of one.

The side is that of the closing order, the pnl is net of fees that are not given, and there is no time of entry: the
exit stands for it.
"""

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees

INVERSE = r"[A-Z0-9]+USD([FGHJKMNQUVXZ]\d\d)?"
"""Contracts that settle in what they are of; the others settle in USDT or USDC."""


def prepare(rows: Rows) -> Rows:
    """The position's side, its currency, and the fees, which are what the net pnl lacks."""
    said = rows.text("Closing Direction").str.strip().str.lower()
    direction = said.map({"sell": "LONG", "close long": "LONG", "buy": "SHORT", "close short": "SHORT"})
    ticker = rows.text("Contracts")
    inverse = ticker.str.fullmatch(INVERSE, na=False).to_numpy(bool)
    entry, leave, units = (rows.number(name) for name in ("Entry Price", "Exit Price", "Qty"))
    side = np.where(direction == "LONG", 1.0, -1.0)
    with np.errstate(all="ignore"):
        gross = side * units * np.where(inverse, 1 / entry - 1 / leave, leave - entry)
        turnover = units * np.where(inverse, 1 / entry + 1 / leave, leave + entry)
    settles = np.where(inverse, ticker.str.split("USD").str[0], ticker.str.extract(r"(USDT|USDC|PERP)", expand=False))
    moment = rows.time("Trade Time")
    return rows.making(
        bot_id=rows.account or "bybit",
        direction=direction.fillna(said),
        entry_time=moment,
        exit_time=moment,
        fees=untold_fees(gross, rows.number("Closed P&L"), turnover),
        contract_type=np.where(inverse, "inverse", "linear"),
        quote_currency=np.where(settles == "PERP", "USDC", settles),
    )


FORMAT = Format(
    name="bybit_closed_pnl",
    title="Bybit's closed P&L",
    headings=("Contracts", "Closing Direction", "Qty", "Entry Price", "Exit Price", "Closed P&L", "Trade Time"),
    fields={
        "source_trade_id": ("Order No.", "Order ID"),
        "ticker": "Contracts",
        "entry_price": "Entry Price",
        "exit_price": "Exit Price",
        "quantity": "Qty",
        "reported_pnl": "Closed P&L",
        "exit_reason": "Exit Type",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position"},
    constants={"status": "closed"},
    times=("Trade Time",),
)
