"""MetaTrader 4's statement of an account as HTML: its section of closed transactions.

Times are those of the server, money is in the currency of the account, and the profit is stated before commission,
taxes and swap, which are negative where they were paid. Sizes are lots, whose worth the statement does not say: the net
pnl is taken at its word. Deposits and orders that were cancelled stand among the trades.
"""

import re

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows
from knowdefeat_pipeline.sources.formats.mt5_report import ASK

ACCOUNT = re.compile(r"Account: *(?P<number>\d+)")
CURRENCY = re.compile(r"Currency: *(?P<code>[A-Z]{3,5})\b")


def prepare(rows: Rows) -> Rows:
    """The account's trades, and costs as such."""
    rows = rows.where(rows.text("Ticket").notna(), "they add up others")
    rows = rows.where(rows.text("Type").str.lower().isin(("buy", "sell")), "deposits, and orders that were not filled")
    about = " ".join(rows.raw.titles)
    account, currency = ACCOUNT.search(about), CURRENCY.search(about)
    number = rows.account or (account["number"] if account else None)
    costs = [np.nan_to_num(rows.number(name)) for name in ("Commission", "Taxes")]
    swap = np.nan_to_num(rows.number("Swap"))
    rows = rows.making(fees=-sum(costs), funding=swap, reported_pnl=rows.number("Profit") + sum(costs) + swap)
    rows = rows.making(bot_id=f"MT4 {number}") if number else rows
    return rows.making(quote_currency=currency["code"]) if currency else rows


FORMAT = Format(
    name="mt4",
    title="a statement of MetaTrader 4",
    headings=(
        "Ticket",
        "Open Time",
        "Type",
        "Size",
        "Item",
        "Price",
        "Close Time",
        "Price 2",
        "Commission",
        "Swap",
        "Profit",
    ),
    fields={
        "source_trade_id": "Ticket",
        "ticker": "Item",
        "direction": "Type",
        "entry_time": "Open Time",
        "exit_time": "Close Time",
        "entry_price": "Price",
        "exit_price": "Price 2",
    },
    prepare=prepare,
    is_bot=True,
    terms={"pnl": "stated"},
    constants={"status": "closed"},
    clock=None,
    ask=ASK,
    by_pair=False,
)
