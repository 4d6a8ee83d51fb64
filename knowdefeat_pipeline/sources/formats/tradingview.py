"""TradingView's list of trades: two rows a trade, the exit first, and the currency in the headings.

The pnl is net of a commission that older lists do not give. An exit by the signal `Open` has not happened: its price is
the last one. Times are those of the chart. A list in another language is known by what its cells hold (see
`sources.translated`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools, Floats, Ints
from knowdefeat_pipeline.sources import names, translated
from knowdefeat_pipeline.sources.format import Format, Rows, untold_fees
from knowdefeat_pipeline.sources.translated import Columns, Sides

NUMBER = ("Trade #", "Trade number")
PNL = ("Net P&L", "Profit", "P&L")
MOMENT = ("Date and time", "Date/Time")
VALUE = ("Position size (value)", "Size (value)")
UNITS = ("Position size (qty)", "Size (qty)", "Contracts", "Quantity")
OPEN = ("open", "offen")
"""What the signal of a position is called that is open still."""


def prepare(rows: Rows) -> Rows:
    """A row a trade: the first of its two, with what both say. Where one is missing, so are its fields."""
    is_english = IN_ENGLISH.fits(rows.raw.table.column_names)
    columns = _columns(rows) if is_english else translated.columns_of(rows)
    sides = _sides(rows) if is_english else translated.sides_of(rows, columns)
    kept, at_entry, at_exit = _places(rows.text(columns.number), sides)
    signal = rows.text(columns.signal)
    is_open = _at(signal, at_exit).str.strip().str.lower().isin(OPEN).to_numpy(bool)
    short = sides.short[kept]
    entry, leave = (_at(rows.number(columns.price), at) for at in (at_entry, at_exit))
    size_column, in_money = _size(rows) if is_english else translated.size_of(rows, columns, sides)
    stated = rows.number(size_column or "")
    size = _at(stated, at_entry).fillna(_at(stated, at_exit)) * (1.0 if in_money else entry)
    pnl = np.where(is_open, np.nan, _at(rows.number(columns.pnl), at_exit))
    with np.errstate(all="ignore"):
        gross, turnover = np.where(short, -1, 1) * size * (leave - entry) / entry, size * (1 + leave / entry)
    left = np.where(is_open, -1, at_exit)
    made = rows.where(kept).making(
        source_trade_id=rows.text(columns.number)[kept].to_numpy(),
        direction=np.where(short, "SHORT", "LONG"),
        status=np.where(is_open, "open", "closed"),
        entry_time=rows.taken(columns.moment, at_entry),
        exit_time=rows.taken(columns.moment, left),
        entry_price=entry.to_numpy(float),
        exit_price=leave.mask(is_open).to_numpy(float),
        mark_price=leave.where(is_open).to_numpy(float),
        notional=size.to_numpy(float),
        reported_pnl=pnl,
        fees=untold_fees(np.asarray(gross), pnl, np.asarray(turnover)),
        exit_reason=_at(signal, left),
    )
    if not is_english and (doubt := _may_be_open(signal, at_exit, rows.text(columns.number)[kept])):
        made = made.noting(doubt)
    currency = names.unit(columns.price)
    return made.making(quote_currency=currency.upper()) if currency else made


def _may_be_open(signal: pd.Series[str], at_exit: Ints, number: pd.Series[str]) -> str | None:
    """What to say of the latest trade, where no other left by its signal."""
    signals = _at(signal, at_exit)
    last = int(pd.to_numeric(number, errors="coerce").fillna(0).to_numpy(float).argmax())
    said = signals.iloc[last]
    if str(said).strip().lower() in OPEN or (signals == said).sum() != 1 or len(signals) < 2:
        return None
    return (
        f"trade {number.iloc[last]}, the latest, left by '{said}', as no other did: if it is open still, leave it out"
    )


def _columns(rows: Rows) -> Columns:
    number, moment, pnl = (rows.first(spellings) or "" for spellings in (NUMBER, MOMENT, PNL))
    return Columns(number, rows.column("Type"), moment, rows.column("Signal"), rows.column("Price"), pnl, ())


def _size(rows: Rows) -> tuple[str | None, bool]:
    """The column of the size, in quote currency, or in units in older lists, which have nothing else."""
    return rows.first(VALUE) or rows.first(UNITS), rows.first(VALUE) is not None


def _sides(rows: Rows) -> Sides:
    kind = rows.text("Type").str.lower()
    entry, leave = (kind.str.startswith(word, na=False).to_numpy(bool) for word in ("entry", "exit"))
    return Sides(entry, leave, kind.str.contains("short", na=False).to_numpy(bool))


def _places(number: pd.Series, sides: Sides) -> tuple[Bools, Ints, Ints]:
    """The first row of each trade; and of each trade the places of its entry and its exit, -1 where there is none."""
    place = pd.Series(np.arange(len(number)))
    kept = ~number.duplicated() | number.isna()
    at_entry, at_exit = (
        number[kept].map(place[some].groupby(number[some]).last()).fillna(-1).to_numpy(np.int64)
        for some in (sides.entry, sides.leave)
    )
    return kept.to_numpy(bool), at_entry, at_exit


def _at(values: pd.Series | Floats, places: Ints) -> pd.Series:
    """Values at places, missing at -1."""
    return pd.Series(values).reindex(places).reset_index(drop=True)


class _List(Format):
    """Recognised in any language."""

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a table of these columns is one."""
        return super().fits(columns) or translated.is_one(columns)


FORMAT = _List(
    name="tradingview",
    title="a list of trades of TradingView",
    headings=(NUMBER, "Type", "Signal", "Price"),
    fields={},
    prepare=prepare,
    terms={"size": "notional", "fees": "cost", "side": "position", "contract": "linear"},
    constants={"ticker": "UNKNOWN"},
    is_bot=True,
    clock=None,
    ask="its times are in the zone of the chart, which it does not name: say --timezone UTC, or the chart's",
)
IN_ENGLISH = Format(FORMAT.name, FORMAT.title, FORMAT.headings, {})
