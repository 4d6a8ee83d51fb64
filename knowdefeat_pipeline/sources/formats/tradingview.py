"""TradingView's list of trades: two rows a trade, the exit first, and the currency in the headings.

The pnl is net of a commission that is not given. An exit by the signal `Open` has not happened: its price is the last
one. Times are those of the chart.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Ints
from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees

PNL = ("Net P&L", "Profit", "P&L")
MOMENT = ("Date and time", "Date/Time")
VALUE = "Position size (value)"


def prepare(rows: Rows) -> Rows:
    """A row a trade: the row of its exit, with what that of its entry says. Where one is missing, so are its fields."""
    kind, number = rows.text("Type").str.lower(), rows.text("Trade #")
    place = pd.Series(np.arange(len(rows)))
    entries, exits = (place[kind.str.startswith(word, na=False)] for word in ("entry", "exit"))
    entry_of, exit_of = (part.groupby(number[part]).last() for part in (entries, exits))
    kept = ~number.duplicated() | number.isna()
    at_entry, at_exit = (number[kept].map(places).fillna(-1).to_numpy(np.int64) for places in (entry_of, exit_of))
    moment, price = rows.first(MOMENT) or "", rows.column("Price")
    signal, net = rows.text("Signal"), rows.number(rows.first(PNL) or "")
    value = (
        rows.number(VALUE) if rows.has(VALUE) else rows.number(rows.first(("Position size (qty)", "Contracts")) or "")
    )
    prices = pd.Series(rows.number("Price"))
    is_open = _at(signal, at_exit).str.strip().str.lower().eq("open").to_numpy(bool)
    entry, leave = (_at(prices, at).to_numpy(float) for at in (at_entry, at_exit))
    pnl = np.where(is_open, np.nan, net[kept])
    short = kind[kept].str.contains("short").to_numpy(bool)
    size = value[kept] * (1 if rows.has(VALUE) else entry)
    with np.errstate(all="ignore"):
        gross, turnover = np.where(short, -1, 1) * size * (leave - entry) / entry, size * (1 + leave / entry)
    entered, left = (rows.taken(moment, at) for at in (at_entry, np.where(is_open, -1, at_exit)))
    currency = (names.unit(price) or "").upper()
    made = rows.where(kept).making(
        source_trade_id=number[kept].to_numpy(),
        bot_id=rows.named_after_file(),
        direction=np.where(short, "SHORT", "LONG"),
        status=np.where(is_open, "open", "closed"),
        entry_time=entered,
        exit_time=left,
        entry_price=entry,
        exit_price=np.where(is_open, np.nan, leave),
        mark_price=np.where(is_open, leave, np.nan),
        notional=size,
        reported_pnl=pnl,
        fees=untold_fees(gross, pnl, turnover),
        exit_reason=_at(signal, np.where(is_open, -1, at_exit)),
    )
    return made.making(quote_currency=currency) if currency else made


def _at(values: pd.Series, places: Ints) -> pd.Series:
    """Values at places, missing at -1."""
    return values.reindex(places).reset_index(drop=True)


FORMAT = Format(
    name="tradingview",
    title="a list of trades of TradingView",
    headings=("Trade #", "Type", "Signal", "Price"),
    fields={},
    prepare=prepare,
    terms={"size": "notional", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"ticker": "UNKNOWN"},
    clock=None,
    ask="its times are in the zone of the chart, which it does not name: say --timezone UTC, or the chart's",
)
