"""TradingView's list of trades in another language than English: which column is which, by what its cells hold.

The words of headings and types differ by language; what they are of does not. Trades are numbered one after the other,
with a row for the entry and one for the exit. Prices and pnl name their currency, and the excursions and the cumulative
pnl come in money and in percent. The cumulative pnl is the running sum of the pnl, a size in money is steadily as many
times the price as the one in units, an entry is no later than its exit, and a long position gains when the price rises.
Where several columns would do, as in a list of one trade, the first of them is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources import cells, names, notation
from knowdefeat_pipeline.sources.format import Rows
from knowdefeat_pipeline.sources.layout import SourceError

PAIRED = 3
"""How many headings at least are there in a currency and in percent."""
BARE = 5
"""How many at least are in neither: number, type, time, signal and size."""
KINDS = 4
"""Entry and exit, of long and short positions."""
MOST = 0.9
"""The share of trades that a rule has to hold of: the last one may be open still."""
CENT = 0.0101
"""What rounded sums may be off by, for each trade."""
REMEDY = "export it again with TradingView in English"


@dataclass(frozen=True)
class Columns:
    """The columns of a list. `value`, `units`: its sizes in money and in units; either may be missing."""

    number: str
    kind: str
    moment: str
    signal: str
    price: str
    pnl: str
    value: str | None
    units: str | None


def is_one(columns: Sequence[str]) -> bool:
    """Whether these are the headings of a list of trades, whatever the language."""
    percent = {names.bare(name) for name in columns if _is_percent(name)}
    in_money = [name for name in columns if names.unit(name)]
    paired = [name for name in in_money if f"{names.bare(name)} %" in percent]
    bare = [name for name in columns if not _is_percent(name) and name not in in_money]
    return len(paired) >= PAIRED and len(in_money) > len(paired) and len(bare) >= BARE


def _is_percent(name: str) -> bool:
    return name.rstrip().endswith("%")


def columns_of(rows: Rows) -> Columns:
    """Which column is which. Raises SourceError where none holds what a list of trades needs."""
    every = [name for name in rows.raw.table.column_names if not _is_percent(name)]
    in_money = [name for name in every if names.unit(name)]
    numeric = [name for name in every if name not in in_money and _is_numeric(rows, name)]
    texts = [name for name in every if name not in in_money and name not in numeric]
    number = _first("the number of each trade", numeric, lambda name: _counts(rows.text(name)))
    trade = rows.text(number)
    moment = _first("times", texts, lambda name: bool(dated(rows, name).time(name).notna().mean() > 1 - MOST))
    kind = _first("entries and exits", texts, lambda name: name != moment and _is_kind(rows.text(name), trade))
    signal = _first("signals", texts, lambda name: name not in (moment, kind))
    price = _first("prices", in_money, lambda name: _differs(rows.number(name), trade))
    totals = {name: _of_trades(rows.number(name), trade) for name in in_money if name != price}
    pnl = _first("the pnl", [*totals], lambda name: _adds_up(totals[name], [*totals.values()]))
    units, value = _sizes(rows, [name for name in numeric if name != number], price)
    return Columns(number, kind, moment, signal, price, pnl, value, units)


def dated(rows: Rows, moment: str) -> Rows:
    """The rows with the order of day and month in a column. Raises SourceError where it is left open."""
    return replace(rows, dates=notation.order_of(rows.raw, [moment], rows.dates))


def _first(what: str, columns: Sequence[str], fits: Callable[[str], bool]) -> str:
    found = next(filter(fits, columns), None)
    if found is None:
        raise SourceError(f"this looks like a list of trades of TradingView, but no column holds {what}; {REMEDY}")
    return found


def _is_numeric(rows: Rows, name: str) -> bool:
    return not cells.is_text(rows.cells(name).type) or bool(np.isfinite(rows.number(name)).mean() > MOST)


def _counts(trade: pd.Series[str]) -> bool:
    """Whether the cells are whole numbers in a row, each of one trade, which has two rows at most."""
    numbers = pd.to_numeric(trade, errors="coerce").dropna()
    known = np.unique(numbers)
    return bool(len(known) and numbers.value_counts().max() <= 2 and known[-1] - known[0] == len(known) - 1)


def _is_kind(kind: pd.Series[str], trade: pd.Series[str]) -> bool:
    """Whether the cells are of a few kinds, of which each has one partner in the other row of a trade."""
    if kind.nunique() > KINDS:
        return False
    both = pd.DataFrame({"kind": kind, "trade": trade}).dropna().groupby("trade")["kind"].agg(["first", "last", "size"])
    both = both[both["size"] == 2]
    pairs = {frozenset(pair) for pair in both[["first", "last"]].itertuples(index=False)}
    return bool(pairs) and all(len(pair) == 2 for pair in pairs) and len(frozenset().union(*pairs)) == 2 * len(pairs)


def _differs(amounts: np.ndarray, trade: pd.Series[str]) -> bool:
    """Whether the two rows of most trades have different amounts."""
    both = pd.Series(amounts).groupby(trade.to_numpy()).agg(["nunique", "count"])
    return bool((both["nunique"] == 2).sum() > (1 - MOST) * len(both))


def _of_trades(amounts: np.ndarray, trade: pd.Series[str]) -> pd.Series:
    """Of each trade, in order, the amount that its rows state; what one of them leaves empty or 0 is the other's."""
    told = pd.DataFrame({"trade": pd.to_numeric(trade, errors="coerce"), "amount": amounts, "most": np.abs(amounts)})
    return told.sort_values("most").dropna().groupby("trade")["amount"].last()


def _adds_up(amounts: pd.Series, totals: Sequence[pd.Series]) -> bool:
    """Whether one of the totals is the running sum of the amounts."""
    running, rounding = amounts.cumsum(), CENT * np.arange(1, len(amounts) + 1)
    others = (total for total in totals if total is not amounts and len(total) == len(amounts))
    return any((np.abs(running - total) <= rounding + 1e-6 * np.abs(running)).mean() >= MOST for total in others)


def _sizes(rows: Rows, columns: Sequence[str], price: str) -> tuple[str | None, str | None]:
    """The size in units and the one in money, which is steadily that many times the price."""
    prices = rows.number(price)

    def unsteady(pair: tuple[str, str]) -> float:
        with np.errstate(all="ignore"):
            worth = np.log(rows.number(pair[1]) / (rows.number(pair[0]) * prices))
        return float(np.nanstd(worth)) if np.isfinite(worth).all() else np.inf

    best = min(permutations(columns, 2), key=unsteady, default=None)
    return best or (columns[0] if columns else None, None)


@dataclass(frozen=True)
class Sides:
    """Of each row whether it is an entry, an exit, and of a short position."""

    entry: Bools
    leave: Bools
    short: Bools


def sides_of(rows: Rows, columns: Columns) -> Sides:
    """What the types mean: an entry is the earlier one of its pair, and a pair is that of long positions whose pnl has
    the sign of the move, unless it says long or short. Raises SourceError where neither tells."""
    kind, trade = rows.text(columns.kind), rows.text(columns.number)
    told = pd.DataFrame({
        "trade": trade, "kind": kind, "time": dated(rows, columns.moment).time(columns.moment),
        "price": rows.number(columns.price), "pnl": rows.number(columns.pnl),
    })  # fmt: skip
    both = told.merge(told, on="trade", suffixes=("", "_other"))
    both = both[both["kind"] != both["kind_other"]]
    ahead = (both["time_other"] - both["time"]).dt.total_seconds().clip(-1, 1).groupby(both["kind"]).sum()
    entries = {name for name, votes in ahead.items() if votes > 0}
    pnl = both["pnl"].where(both["pnl_other"].fillna(0) == 0, both["pnl_other"])
    gained = (np.sign(pnl) * np.log(both["price_other"] / both["price"])).groupby(both["kind"]).sum()
    short = set()
    for name, partner in both.drop_duplicates("kind")[["kind", "kind_other"]].itertuples(index=False):
        said = name.lower()
        if not ahead[name] or not ("long" in said or "short" in said or gained[name]):
            raise SourceError(
                f"what '{name}' and '{partner}' mean in column '{columns.kind}' does not follow; {REMEDY}"
            )
        is_short = "short" in said or ("long" not in said and (gained[name] < 0) == (name in entries))
        short |= {name} if is_short else set()
    return Sides(*(kind.isin(some).to_numpy(bool) for some in (entries, {*ahead.index} - entries, short)))
