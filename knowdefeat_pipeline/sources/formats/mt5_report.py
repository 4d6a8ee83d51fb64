"""MetaTrader 5's report of an account as HTML: its section of positions.

Times are those of the server, money is in the currency of the account, commissions and swaps are negative where they
were paid, and the profit is stated before both. Sizes are lots, whose worth the report does not say: the net pnl is
taken at its word. What follows the type is the comment, by which experts sign.
"""

import re

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows

ACCOUNT = re.compile(r"(?<!\d)(?P<number>\d++) *+\((?P<currency>[A-Z]{3,5})\b")
ASK = (
    "its times are those of the broker's server, which it does not name: say --timezone 'UTC+2 with New York DST' (as "
    "most brokers' are), UTC+2 or whatever it is"
)


def prepare(rows: Rows) -> Rows:
    """A bot a comment, the account's currency, and costs as such."""
    rows = rows.where(rows.text("Position").notna(), "they add up others")
    account = next(filter(None, map(ACCOUNT.search, rows.raw.titles)), None)
    comment = rows.text("Comment") if rows.has("Comment") else rows.text("column 5")
    number = rows.account or (account["number"] if account else None)
    commission, swap = np.nan_to_num(rows.number("Commission")), np.nan_to_num(rows.number("Swap"))
    rows = rows.making(
        bot_id=comment.fillna(f"MT5 {number}") if number else comment,
        strategy_id=comment,
        fees=-commission,
        funding=swap,
        reported_pnl=rows.number("Profit") + commission + swap,
    )
    return rows.making(quote_currency=account["currency"]) if account else rows


FORMAT = Format(
    name="mt5",
    title="a report of MetaTrader 5",
    headings=(
        "Position",
        "Symbol",
        "Type",
        "Volume",
        "Time",
        "Price",
        "Time 2",
        "Price 2",
        "Commission",
        "Swap",
        "Profit",
    ),
    fields={
        "source_trade_id": "Position",
        "ticker": "Symbol",
        "direction": "Type",
        "entry_time": "Time",
        "exit_time": "Time 2",
        "entry_price": "Price",
        "exit_price": "Price 2",
    },
    prepare=prepare,
    is_bot=True,
    terms={"pnl": "stated", "side": "position"},
    constants={"status": "closed"},
    clock=None,
    ask=ASK,
    by_pair=False,
)
