"""What freqtrade's webhook sends of a trade, in the fields that docs/formats.md gives for its configuration.

An entry that was filled opens a trade, and the last exit closes it; what adds to a position or leaves a part of it says
nothing of the whole. Fees are in the pnl and not told. Where parts of a position were left before, amount and prices of
the last exit are those of its part: the net pnl of all is taken at its word.
"""

from dataclasses import replace

import numpy as np

from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees

EVENT, ENTRY, EXIT = "freqtrade_webhook", "entry_fill", "exit_fill"
ROUNDING = 1e-6
"""What two statements of one pnl may differ by, as a share of it."""


def prepare(rows: Rows) -> Rows:
    """Whole positions; dry runs apart."""
    event, is_last = rows.text(EVENT), rows.text("is_final_exit").str.lower().eq("true")
    is_first = event.eq(ENTRY) & ~rows.text("sub_trade").str.lower().eq("true")
    rows = rows.where(is_first | (event.eq(EXIT) & is_last), "parts of positions, and other messages")
    is_open = rows.text(EVENT).eq(ENTRY).to_numpy(bool)
    if rows.account is None and rows.text("dry_run").str.lower().eq("true").any():
        rows = replace(rows, account="dry_run")
    place = rows.text("bot") + (f" ({rows.account})" if rows.account else "")
    entry, leave, units = rows.number("open_rate"), rows.number("close_rate"), rows.number("amount")
    pnl, of_last = rows.number("cumulative_profit"), rows.number("profit_amount")
    is_whole = is_open | (np.abs(pnl - of_last) <= ROUNDING * np.abs(pnl))
    size = np.where(is_whole, units, np.nan)
    short = rows.text("direction").str.lower().eq("short").to_numpy(bool)
    fees = untold_fees(np.where(short, -1, 1) * size * (leave - entry), pnl, size * (entry + leave))
    return rows.making(
        bot_id=(place + " " + rows.text("strategy")).fillna(place),
        status=np.where(is_open, "open", "closed"),
        quantity=size,
        fees=np.where(is_open, np.nan, fees),
        reported_pnl=np.where(is_open, np.nan, pnl),
    )


FORMAT = Format(
    name="freqtrade_webhook",
    title="what freqtrade's webhook says of a trade",
    headings=(EVENT, "bot", "trade_id", "pair", "direction", "amount", "open_rate", "open_date", "stake_currency"),
    fields={
        "source_trade_id": "trade_id",
        "strategy_id": "strategy",
        "ticker": "pair",
        "direction": "direction",
        "entry_time": "open_date",
        "exit_time": "close_date",
        "entry_price": "open_rate",
        "exit_price": "close_rate",
        "leverage": "leverage",
        "quote_currency": "stake_currency",
        "exit_reason": "exit_reason",
    },
    prepare=prepare,
    terms={"size": "quantity", "fees": "cost", "side": "position", "contract": "linear"},
    rank=3,
)
