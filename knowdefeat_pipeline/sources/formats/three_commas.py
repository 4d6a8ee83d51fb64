"""3commas' deals: averages of all orders of a deal, times in UTC.

What was never filled, as many cancelled deals, is no trade. The profit is net of what the exchange took.
"""

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees

CANCELLED = ("cancelled", "failed")


def prepare(rows: Rows) -> Rows:
    """The side that opened a deal and the side that closed it, and what the profit lacks."""
    status = rows.text("status").str.strip().str.lower()
    bought, sold = rows.number("bought_volume"), rows.number("sold_volume")
    untraded = status.isin(CANCELLED).to_numpy(bool) & (np.nan_to_num(bought) == 0) & (np.nan_to_num(sold) == 0)
    rows = rows.where(~untraded, "cancelled before anything was traded")
    short = (rows.text("strategy").str.lower() == "short").to_numpy(bool)
    is_open = (rows.text("status").str.strip().str.lower() == "bought").to_numpy(bool)
    bought, sold = rows.number("bought_average_price"), rows.number("sold_average_price")
    entry, leave = np.where(short, sold, bought), np.where(short, bought, sold)
    size = np.where(short, rows.number("sold_volume"), rows.number("bought_volume"))
    quote = rows.text("pair").str.split("_").str[0]
    paid = rows.text("final_profit_currency").fillna(quote)
    profit = np.where(is_open | (paid != quote), np.nan, rows.number("final_profit"))
    with np.errstate(all="ignore"):
        gross = np.where(short, -1, 1) * size * (leave - entry) / entry
        turnover = size * (1 + leave / entry)
    return rows.making(
        direction=np.where(short, "SHORT", "LONG"),
        entry_price=entry,
        exit_price=np.where(is_open, np.nan, leave),
        notional=size,
        reported_pnl=profit,
        fees=untold_fees(gross, profit, turnover),
        quote_currency=quote,
    )


FORMAT = Format(
    name="3commas",
    title="an export of 3commas' deals",
    headings=("deal_id", "status", "bot_id", "pair", "created_at", "bought_average_price", "sold_average_price"),
    fields={
        "source_trade_id": "deal_id",
        "bot_id": "bot_id",
        "strategy_id": "bot",
        "ticker": "pair",
        "status": "status",
        "entry_time": "created_at",
        "exit_time": "closed_at",
    },
    prepare=prepare,
    terms={"size": "notional", "fees": "cost", "side": "position", "contract": "linear"},
)
