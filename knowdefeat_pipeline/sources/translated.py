"""TradingView's list of trades in another language than English: which column is which, by what its cells hold.

The words of headings and types differ by language; what they are of does not. Trades are numbered one after the other,
with a row for the entry and one for the exit. Prices and pnl name their currency, and the excursions and the cumulative
pnl come in money and in percent. The cumulative pnl is the running sum of the pnl, an entry is no later than its exit,
a long position gains when the price rises, and the size is the number that gives the pnl. Where several columns would
do, as in a list of one trade, the first of them is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
OTHERWISE = ("ticker", "entry_time", "exit_time", "entry_price", "exit_price")
"""Fields that tables of another kind have."""
MOST = 0.9
"""The share of trades that a rule has to hold of: the last one may be open still."""
PROOF = 0.8
"""The share of all moves that has to be for one side; costs may turn the sign of a small gain."""
CENT = 0.0101
"""What rounded sums may be off by, for each trade."""
REMEDY = "export it again with TradingView in English"


@dataclass(frozen=True)
class Columns:
    """The columns of a list. `sizes`: those that may be the size; what that is `size_of` tells."""

    number: str
    kind: str
    moment: str
    signal: str
    price: str
    pnl: str
    sizes: tuple[str, ...]


def is_one(columns: Sequence[str]) -> bool:
    """Whether these are the headings of a list of trades, whatever the language: none of it says what was traded, and
    entry and exit are in the same columns."""
    percent = {names.bare(name) for name in columns if _is_percent(name)}
    in_money = [name for name in columns if names.unit(name)]
    paired = [name for name in in_money if f"{names.bare(name)} %" in percent]
    bare = [name for name in columns if not _is_percent(name) and name not in in_money]
    says_more = not names.by_name(columns).keys().isdisjoint(OTHERWISE)
    return len(paired) >= PAIRED and len(in_money) > len(paired) and len(bare) >= BARE and not says_more


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
    price = _first("prices", in_money, lambda name: _differs(rows.number(name), trade))
    totals = {name: _of_trades(rows.number(name), trade) for name in in_money if name != price}
    pnl = _first("the pnl", [*totals], lambda name: _adds_up(totals[name], [*totals.values()]))
    kinds = [name for name in texts if name != moment and _is_kind(rows.text(name), trade)]
    both = {name: _both_ways(rows, name, number, moment, price, pnl) for name in kinds}
    kind = _first("entries and exits", sorted(kinds, key=lambda name: -_agreement(both[name])), lambda name: True)
    signal = _first("signals", texts, lambda name: name not in (moment, kind))
    return Columns(number, kind, moment, signal, price, pnl, tuple(name for name in numeric if name != number))


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


def _both_ways(rows: Rows, kind: str, number: str, moment: str, price: str, pnl: str) -> pd.DataFrame:
    """The two rows of each trade as one, either way: `kind` and `other`, `later` (1 where the other is the later one,
    -1 where it is the earlier one), and `gained`: how far the price moved from this one to the other, with the sign of
    the pnl."""
    told = pd.DataFrame({
        "trade": rows.text(number), "kind": rows.text(kind), "time": dated(rows, moment).time(moment),
        "price": rows.number(price), "pnl": rows.number(pnl),
    })  # fmt: skip
    both = told.merge(told, on="trade", suffixes=("", "_other"))
    both = both[both["kind"] != both["kind_other"]]
    stated = both["pnl"].where(both["pnl_other"].fillna(0) == 0, both["pnl_other"])
    later = (both["time_other"] - both["time"]).dt.total_seconds().clip(-1, 1)
    gained = np.sign(stated) * np.log(both["price_other"] / both["price"])
    return pd.DataFrame({"kind": both["kind"], "other": both["kind_other"], "later": later, "gained": gained})


def _agreement(both: pd.DataFrame) -> float:
    """How far the trades of each kind moved the same way for the same pnl: 1 where all did."""
    every = both["gained"].abs().sum()
    return float(both.groupby("kind")["gained"].sum().abs().sum() / every) if every else 0.0


@dataclass(frozen=True)
class Sides:
    """Of each row whether it is an entry, an exit, and of a short position."""

    entry: Bools
    leave: Bools
    short: Bools


def sides_of(rows: Rows, columns: Columns) -> Sides:
    """What the types mean: an entry is the earlier one of its pair, and a pair is that of long positions whose pnl has
    the sign of the move, unless it says long or short. Raises SourceError where neither tells."""
    kind = rows.text(columns.kind)
    both = _both_ways(rows, columns.kind, columns.number, columns.moment, columns.price, columns.pnl)
    ahead, gained = (both.groupby("kind")[name].sum() for name in ("later", "gained"))
    moved = both["gained"].abs().groupby(both["kind"]).sum()
    entries, short = {name for name, votes in ahead.items() if votes > 0}, set()
    for name, other in both.drop_duplicates("kind")[["kind", "other"]].itertuples(index=False):
        said = name.lower()
        is_said, is_proved = "long" in said or "short" in said, abs(gained[name]) > PROOF * moved[name]
        if not ahead[name] or not (is_said or is_proved):
            raise SourceError(f"what '{name}' and '{other}' mean in column '{columns.kind}' does not follow; {REMEDY}")
        is_short = "short" in said if is_said else (gained[name] < 0) == (name in entries)
        short |= {name} if is_short else set()
    return Sides(*(kind.isin(some).to_numpy(bool) for some in (entries, {*ahead.index} - entries, short)))


def size_of(rows: Rows, columns: Columns, sides: Sides) -> tuple[str | None, bool]:
    """The column of the size by which the trades gained what they state, and whether it is in money."""
    trade = rows.text(columns.number).to_numpy()

    def told(name: str, some: Bools) -> pd.Series:
        return pd.Series(rows.number(name)).where(some).groupby(trade).first()

    entry, leave, pnl = (
        told(columns.price, sides.entry),
        told(columns.price, sides.leave),
        told(columns.pnl, sides.leave),
    )

    def off(choice: tuple[str, bool]) -> float:
        name, in_money = choice
        gained = (told(name, sides.entry) * (leave - entry) / (entry if in_money else 1.0)).abs()
        share = float(((gained - pnl.abs()).abs() / (gained + pnl.abs())).median())
        return round(share, 3) if np.isfinite(share) else np.inf

    choices = [(name, in_money) for in_money in (True, False) for name in columns.sizes]
    return min(choices, key=off, default=(None, False))
