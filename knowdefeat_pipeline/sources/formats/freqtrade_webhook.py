"""What freqtrade's webhook sends of a trade, in the fields that docs/formats.md gives for its configuration.

An entry that was filled opens a trade, and the last exit closes it; what adds to a position or leaves a part of it says
nothing of the whole. Fees are in the pnl and not told. Where parts of a position were left before, amount and prices of
the last exit are those of its part: the net pnl of all is taken at its word.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees
from knowdefeat_pipeline.sources.layout import SourceError

EVENT, ENTRY, EXIT = "freqtrade_webhook", "entry_fill", "exit_fill"
UNTOLD = {ENTRY: "sub_trade is missing in entry_fill", EXIT: "is_final_exit is missing in exit_fill"}
"""What stands for the status of a trade of which a message does not say whether it is the whole."""
ROUNDING = 1e-6
"""What two statements of one pnl may differ by, as a share of it."""
NEEDED = ("trade_id", "pair", "direction", "open_rate", "open_date", "close_rate", "close_date")
"""What a trade needs: a row that lacks it is held, and the reason names the field of the message."""
SAID = ("true", "false")
"""What a field that says yes or no may hold."""


def prepare(rows: Rows) -> Rows:
    """Whole positions; dry runs apart. What a message does not say is missing: it is held, and never taken for a no."""
    rows = replace(rows, account=rows.account or _account(rows))
    if "bot_id" not in rows.said and rows.text("bot").isna().any():
        raise SourceError('a message names no bot: write "bot": "NAME" into each message of freqtrade\'s configuration')
    nothing = pd.Series(np.nan, range(len(rows)), dtype="str")
    rows = rows.making(**{name: nothing for name in NEEDED if not rows.has(name)})
    event = rows.text(EVENT)
    part, final = (rows.text(name).str.strip().str.lower() for name in ("sub_trade", "is_final_exit"))
    is_entry, is_exit = event.eq(ENTRY), event.eq(EXIT)
    whole = (is_entry & ~part.eq("true")) | (is_exit & ~final.eq("false"))
    untold = (is_entry & ~part.isin(SAID)) | (is_exit & ~final.isin(SAID))
    status = event.map({ENTRY: "open", EXIT: "closed"}).mask(untold, event.map(UNTOLD))[whole]
    rows = rows.where(whole, "parts of positions, and other messages")
    is_open = rows.text(EVENT).eq(ENTRY).to_numpy(bool)
    place = rows.text("bot") + (f" ({rows.account})" if rows.account else "")
    entry, leave, units = rows.number("open_rate"), rows.number("close_rate"), rows.number("amount")
    pnl, of_last = rows.number("cumulative_profit"), rows.number("profit_amount")
    side = rows.text("direction").str.lower().map({"long": 1.0, "short": -1.0}).to_numpy(float)
    gain = side * (leave - entry)
    is_whole = is_open | ((np.abs(pnl - of_last) <= ROUNDING * np.abs(pnl)) & ~np.isnan(gain))
    size = np.where(is_whole, units, np.nan)
    fees = untold_fees(size * gain, pnl, size * (entry + leave))
    return rows.making(
        bot_id=(place + " " + rows.text("strategy")).fillna(place),
        status=status.to_numpy(),
        quantity=size,
        fees=np.where(is_open, np.nan, fees),
        reported_pnl=np.where(is_open, np.nan, pnl),
    )


def _account(rows: Rows) -> str | None:
    """Whether the messages are a dry run's, which freqtrade does not tell: the configuration does."""
    dry = rows.text("dry_run").str.strip().str.lower()
    if not dry.isin(SAID).all():
        raise SourceError(
            "a message does not say whether its bot is a dry run, which freqtrade does not tell by itself: write "
            '"dry_run": "true" or "dry_run": "false" into each message of its configuration'
        )
    if dry.nunique() > 1:
        raise SourceError("these messages are of a dry run and of a live bot; send, or load, each by itself")
    return "dry_run" if dry.eq("true").any() else None


FORMAT = Format(
    name="freqtrade_webhook",
    title="what freqtrade's webhook says of a trade",
    headings=(EVENT,),
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
