"""TradingView's list of trades: two rows a trade, the exit first, and the currency in the headings.

The pnl is net of a commission that is not given. An exit by the signal `Open` has not happened: its price is the last
one. Times are those of the chart.
"""

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools, Floats, Ints
from knowdefeat_pipeline.sources import names
from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees

PNL = ("Net P&L", "Profit", "P&L")
MOMENT = ("Date and time", "Date/Time")
VALUE = "Position size (value)"
UNITS = ("Position size (qty)", "Contracts", "Quantity")


def prepare(rows: Rows) -> Rows:
    """A row a trade: the first of its two, with what both say. Where one is missing, so are its fields."""
    kept, at_entry, at_exit = _places(rows)
    kind, signal = rows.text("Type").str.lower(), rows.text("Signal")
    is_open = _at(signal, at_exit).str.strip().str.lower().eq("open").to_numpy(bool)
    short = kind[kept].str.contains("short", na=False).to_numpy(bool)
    entry, leave = (_at(rows.number("Price"), at) for at in (at_entry, at_exit))
    size = _sizes(rows, at_entry, at_exit) * (1.0 if rows.has(VALUE) else entry)
    pnl = np.where(is_open, np.nan, _at(rows.number(rows.first(PNL) or ""), at_exit))
    with np.errstate(all="ignore"):
        gross, turnover = np.where(short, -1, 1) * size * (leave - entry) / entry, size * (1 + leave / entry)
    moment, left = rows.first(MOMENT) or "", np.where(is_open, -1, at_exit)
    made = rows.where(kept).making(
        source_trade_id=rows.text("Trade #")[kept].to_numpy(),
        direction=np.where(short, "SHORT", "LONG"),
        status=np.where(is_open, "open", "closed"),
        entry_time=rows.taken(moment, at_entry),
        exit_time=rows.taken(moment, left),
        entry_price=entry.to_numpy(float),
        exit_price=leave.mask(is_open).to_numpy(float),
        mark_price=leave.where(is_open).to_numpy(float),
        notional=size.to_numpy(float),
        reported_pnl=pnl,
        fees=untold_fees(np.asarray(gross), pnl, np.asarray(turnover)),
        exit_reason=_at(signal, left),
    )
    currency = names.unit(rows.column("Price"))
    return made.making(quote_currency=currency.upper()) if currency else made


def _places(rows: Rows) -> tuple[Bools, Ints, Ints]:
    """The first row of each trade; and of each trade the places of its entry and its exit, -1 where there is none."""
    kind, number = rows.text("Type").str.lower(), rows.text("Trade #")
    place = pd.Series(np.arange(len(rows)))
    kept = ~number.duplicated() | number.isna()
    entries, exits = (place[kind.str.startswith(word, na=False)] for word in ("entry", "exit"))
    at_entry, at_exit = (
        number[kept].map(part.groupby(number[part]).last()).fillna(-1).to_numpy(np.int64) for part in (entries, exits)
    )
    return kept.to_numpy(bool), at_entry, at_exit


def _sizes(rows: Rows, at_entry: Ints, at_exit: Ints) -> pd.Series:
    """In quote currency, or in units in older lists, which have nothing else."""
    value = rows.number(VALUE if rows.has(VALUE) else rows.first(UNITS) or "")
    return _at(value, at_entry).fillna(_at(value, at_exit))


def _at(values: pd.Series | Floats, places: Ints) -> pd.Series:
    """Values at places, missing at -1."""
    return pd.Series(values).reindex(places).reset_index(drop=True)


FORMAT = Format(
    name="tradingview",
    title="a list of trades of TradingView",
    headings=("Trade #", "Type", "Signal", "Price"),
    fields={},
    prepare=prepare,
    terms={"size": "notional", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"ticker": "UNKNOWN"},
    is_bot=True,
    clock=None,
    ask="its times are in the zone of the chart, which it does not name: say --timezone UTC, or the chart's",
)
