"""What an importer declares of one export, and the rows of a file as it sees them.

A format adds to a foreign table what the reader of trades needs and the table does not have in that form: columns named
after the fields that they hold. All else is shared: cells, notations, clocks, the proof of the pnl, what is held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.core.units import Array, Bools, Floats, Ints
from knowdefeat_pipeline.core.wording import counted
from knowdefeat_pipeline.sources import cells, names, notation
from knowdefeat_pipeline.sources.canonical import HALF_A_CENT, agrees
from knowdefeat_pipeline.sources.cells import Cells
from knowdefeat_pipeline.sources.fields import FIELDS, Kind
from knowdefeat_pipeline.sources.layout import Layout, SourceError
from knowdefeat_pipeline.sources.options import Dates
from knowdefeat_pipeline.sources.raw import RawTable
from knowdefeat_pipeline.sources.units import currency

Made: TypeAlias = "pd.Series | Array | pa.ChunkedArray | pa.Array | str"
"""What a made column may be given as; a text is that of every row."""

NO_NAME = re.compile(
    r"(tradesv3|trades?|upload|fills|orders|deals|history|export|positions|strategytester)"
    r"([-_. ]?(dry_?run|log|history|export|list))?",
    re.I,
)
"""Names of files that say nothing of the bot."""
NO_PLACE = frozenset(("user_data", "data", "db", "sqlite", "database", "logs", "output", "results", "backtest_results"))
"""Names of folders that say nothing of the bot."""


LEAST_ALIKE, HALF = 4, 0.5
"""How many headings of a format, and which share of them, a table has that looks like one."""


@dataclass(frozen=True)
class Format:
    """One kind of export.

    `name`: the source's key. `title`: what a file of it is, in words. `headings`: a table that has all of them is one,
    whatever case, blanks and order they have; of several spellings in one place, any. `fields`: field -> heading, or
    several of which the first that is there counts; a heading that is not there is none. `prepare`: adds what the table
    does not have, and leaves out what is no trade. `terms`: fields of `Terms` that are known of every file.
    `constants`: field -> text of rows that name none. `beside`: other tables of the database that `prepare` reads.
    `rows_of`: the rows of a JSON document of this kind, None of another. `times`: headings of times that `prepare`
    reads itself. `clock`: of times without a zone; None: the file does not say, and `ask` is what to say of it.
    `by_pair`: whether money is in the quote currency of pairs, where nothing names it. `is_bot`: whether a file is a
    bot, named after it where its rows name none. `rank`: of two formats that fit, or two tables of a database, the
    higher one is meant. `marks`: headings that are the same in every language of the program, and no other's: they tell
    a table that does not fit.
    """

    name: str
    title: str
    headings: tuple[str | tuple[str, ...], ...]
    fields: Mapping[str, str | tuple[str, ...]]
    prepare: Callable[[Rows], Rows] = lambda rows: rows
    terms: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    rows_of: Callable[[Any], list[dict[str, Any]] | None] = lambda document: None
    times: tuple[str, ...] = ()
    clock: str | None = "UTC"
    ask: str = ""
    by_pair: bool = True
    is_bot: bool = False
    rank: int = 2
    marks: tuple[str, ...] = ()

    def fits(self, columns: Sequence[str]) -> bool:
        """Whether a table of these columns is one."""
        return not self.headings_of(columns)[1]

    def headings_of(self, columns: Sequence[str]) -> tuple[list[str], list[str]]:
        """Which of the headings a table of these columns has, and which it has not, each in one spelling."""
        seen = _by_key(columns)
        there, missing = list[str](), list[str]()
        for each in self.headings:
            spellings = (each,) if isinstance(each, str) else each
            found = next((name for name in spellings if names.key(name) in seen), None)
            (there if found else missing).append(found or spellings[0])
        there += [mark for mark in self.marks if names.key(mark) in seen and mark not in there]
        return there, missing

    def likeness(self, columns: Sequence[str]) -> float:
        """How much of a table of these columns speaks for this format, where that is no accident: from 0 to 1."""
        there, missing = self.headings_of(columns)
        has_marks = bool(self.marks) and {*self.marks} <= {*there}
        own = [name for name in there if not names.by_name([name])]
        share = len(there) / max(len(there) + len(missing), 1)
        return share if has_marks or (own and len(there) >= LEAST_ALIKE and share >= HALF) else 0.0

    def prepared(
        self,
        raw: RawTable,
        path: Path,
        clock: str | None = None,
        dates: Dates | None = None,
        account: str | None = None,
        said: Mapping[str, str] = MappingProxyType({}),
    ) -> Rows:
        """The rows with all that their fields need. `clock`, `dates`, `account`, `said`: what the user says.

        Raises SourceError where the file does not say what changes its trades, with the option that does.
        """
        if clock is None and self.clock is None:
            raise SourceError(f"this is {self.title}, and {self.ask}")
        rows = Rows(raw, path, clock or self.clock or "UTC", dates, account=account, said=said)
        if self.times:
            rows = replace(rows, dates=notation.order_of(raw, [rows.column(name) for name in self.times], dates))
        return self.prepare(rows)

    def columns(self, rows: Rows) -> Mapping[str, str]:
        """Field -> column, of the columns of the file."""
        found = {name: rows.first(headings) for name, headings in self.fields.items()}
        return {name: column for name, column in found.items() if column is not None}

    def layout(self, rows: Rows) -> Layout:
        """How the prepared rows are read; what the user says of all of them goes first."""
        columns = {**self.columns(rows), **rows.made}
        columns = {name: columns[name] for name in FIELDS if name in columns and name not in rows.said}
        bot = {"bot_id": rows.named_after_file()} if self.is_bot else {}
        return Layout(self.name, columns, rows.clock, constants={**self.constants, **bot, **rows.said})


@dataclass(frozen=True)
class Rows:
    """The rows of one file. `path`: where it is, or a mere name. `clock`, `dates`: of times without a zone, and of
    dates that end with the year. `made`: field -> column that was added. `account`: which the file is of, where it or
    the user says so. `said`: field -> text, what the user says of all rows."""

    raw: RawTable
    path: Path
    clock: str = "UTC"
    dates: Dates | None = None
    made: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    said: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.raw.table)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return _by_key(self.raw.table.column_names)

    def has(self, heading: str) -> bool:
        """Whether there is such a column."""
        return names.key(heading) in self._names

    def first(self, headings: str | tuple[str, ...]) -> str | None:
        """The column of the first heading that is there."""
        wanted = (headings,) if isinstance(headings, str) else headings
        return next((self._names[names.key(name)] for name in wanted if self.has(name)), None)

    def column(self, heading: str) -> str:
        """The column of a heading that is there."""
        return self._names[names.key(heading)]

    def cells(self, heading: str) -> pa.ChunkedArray:
        """The untouched cells of a column."""
        return self.raw.table.column(self.column(heading))

    def text(self, heading: str) -> pd.Series[str]:
        """The cells of a column as text, missing where there is none."""
        if not self.has(heading):
            return pd.Series(np.nan, range(len(self)), dtype="str")
        return self._read(heading, "text").values

    def number(self, heading: str) -> Floats:
        """The cells of a column as numbers, NaN where there is none."""
        if not self.has(heading):
            return np.full(len(self), np.nan)
        return self._read(heading, "amount").values.to_numpy(float)

    def currency(self, heading: str) -> str | None:
        """The currency that a column's cells name by sign or code, None where they name none or several."""
        units = self._read(heading, "amount").unit if self.has(heading) else None
        named = set() if units is None else {currency(unit) for unit in units.dropna().unique() if unit}
        return named.pop() if len(named) == 1 else None

    def time(self, heading: str) -> pd.Series:
        """The cells of a column as instants in UTC, NaT where there is none."""
        return self._read(heading, "time").values

    def taken(self, heading: str, places: Ints) -> pa.ChunkedArray:
        """The untouched cells of a column at places; none at -1."""
        return self.cells(heading).take(pa.array(places, mask=places < 0))

    def _read(self, heading: str, kind: Kind) -> Cells:
        column = self.cells(heading)
        if pa.types.is_null(column.type):
            column = column.cast(pa.string())
        decimal = None
        if kind == "amount" and cells.is_text(column.type):
            seen = notation.weigh(column)
            decimal = None if seen.plain else seen.proves or "point"
        clock = names.zone(self.column(heading)) or self.clock
        return cells.read(kind, column, clock, decimal, self.dates)

    def making(self, **fields: Made) -> Self:
        """With columns of these fields added; what a column that is there is called is not taken."""
        table, made = self.raw.table, dict(self.made)
        for name, values in fields.items():
            column = name if name not in table.column_names else f"{name} (as read)"
            array = _array(values, len(self))
            if column in table.column_names:
                table = table.set_column(table.column_names.index(column), column, array)
            else:
                table = table.append_column(column, array)
            made[name] = column
        return replace(self, raw=replace(self.raw, table=table), made=made)

    def noting(self, note: str) -> Self:
        """With something that the user should know."""
        return replace(self, raw=replace(self.raw, notes=(*self.raw.notes, note)))

    def where(self, kept: Bools | pd.Series, why: str = "") -> Self:
        """Only some of the rows; the others, if any, are no trades, and a note says `why`."""
        kept = np.asarray(kept, bool)
        left = int((~kept).sum())
        raw = self.raw.keep(kept) if left else self.raw
        rows = replace(self, raw=raw)
        if left and why:
            return rows.noting(f"{counted(left, 'row is no trade', 'rows are no trades')} ({why}): not read")
        return rows

    def beside(self, name: str) -> Self | None:
        """Another table of the same database, None where there is none."""
        table = self.raw.beside.get(name)
        if table is None:
            return None
        return replace(self, raw=RawTable(table, np.arange(1, table.num_rows + 1)), made={})

    def named_after_file(self) -> str:
        """The name of the bot of a file: what the user says, the file's own, or that of the nearest folder, where it
        says anything. Raises SourceError for a mere name that says nothing."""
        if "bot_id" in self.said:
            return self.said["bot_id"]
        path = self.path.resolve() if self.path.is_absolute() else self.path
        name = path.name.removesuffix(".gz").rsplit(".", 1)[0]
        places = [name] if not NO_NAME.fullmatch(name) else []
        places += [folder.name for folder in path.parents if folder.name and folder.name.lower() not in NO_PLACE]
        if not places and not path.is_absolute():
            raise SourceError(f"the name '{path.name}' says nothing of the bot that traded; name it: bot=NAME")
        return next(iter(places), name)


def _by_key(columns: Sequence[str]) -> dict[str, str]:
    """Column by its spelling alone, with a unit in the heading or without."""
    without = {names.key(names.bare(column)): column for column in reversed(columns)}
    return without | {names.key(column): column for column in reversed(columns)}


def _array(values: Made, rows: int) -> pa.ChunkedArray | pa.Array:
    if isinstance(values, str):
        return pa.array([values] * rows, pa.string())
    if isinstance(values, pa.ChunkedArray | pa.Array):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values, from_pandas=True)
    return pa.Array.from_pandas(pd.Series(values))


def numbered(labels: pd.Series, times: pd.Series) -> pd.Series:
    """Ids of trades that have none: what they are of, the time of entry, and which of several.

    >>> times = pd.Series(pd.to_datetime(["2026-11-02 09:00", "2026-11-02 09:00"], utc=True))
    >>> numbered(pd.Series(["ES", "ES"]), times).tolist()
    ['ES-2026-11-02T09:00:00', 'ES-2026-11-02T09:00:00-2']
    """
    moment = times.dt.tz_localize(None).map(lambda time: time.isoformat(), na_action="ignore").astype("str")
    ids = labels.astype("str").str.strip() + "-" + moment
    again = ids.groupby(ids).cumcount()
    found: pd.Series = ids.where(again == 0, ids + "-" + (again + 1).astype(str))
    return found


REBATE, MOST_FEES = -0.0005, 0.02
"""Of the turnover: between these lie fees; what is missing beyond is something else."""


def untold_fees(gross: Floats, net: Floats, turnover: Floats) -> Floats:
    """Fees that a file does not give and has taken off its pnl: what the net pnl lacks, so far as that can be fees.

    >>> untold_fees(np.array([100.0, 100.0]), np.array([93.0, 3.0]), np.array([1e4, 1e2])).tolist()
    [7.0, nan]
    """
    missing, possible = gross - net, np.abs(turnover)
    with np.errstate(invalid="ignore"):
        are_fees = (missing >= REBATE * possible) & (missing <= MOST_FEES * possible)
    fees: Floats = np.where(are_fees, missing, np.nan)
    return fees


def multipliers(tickers: pd.Series, moved: Floats, gross: Floats) -> Floats:
    """Units of a contract, of tickers in which one number of them gives the gross pnl of all trades to half a cent; NaN
    of the others. `moved`: what contracts of one unit would have gained.

    >>> multipliers(pd.Series(["ES", "ES", "X", "X"]), np.array([2.5, -1, 1, 1]), np.array([125.0, -50, 3, 4])).tolist()
    [50.0, 50.0, nan, nan]
    """
    told = pd.DataFrame({"ticker": tickers.to_numpy(), "moved": moved, "gross": gross}).dropna()
    told = told[told["moved"] != 0]
    largest = told.loc[told["moved"].abs().groupby(told["ticker"]).idxmax()]
    of_one, gained = (largest[name].to_numpy(float) for name in ("moved", "gross"))
    shortest = map(_shortest, gained / of_one, HALF_A_CENT / np.abs(of_one))
    unit = told["ticker"].map(dict(zip(largest["ticker"], shortest, strict=True)))
    explains = pd.Series(agrees((unit * told["moved"]).to_numpy(float), told["gross"].to_numpy(float)), told.index)
    unit = unit.where((unit > 0) & explains.groupby(told["ticker"]).transform("all"))
    units: Floats = tickers.map(unit.groupby(told["ticker"]).first()).to_numpy(float)
    return units


def _shortest(value: float, off: float) -> float:
    """The number of fewest digits that is no further from a value than it may be off."""
    rounded = (float(f"{value:.{digits}g}") for digits in range(1, 16))
    return next((number for number in rounded if abs(number - value) <= off), value)


def where_it_explains(size: Floats, computed: Floats, stated: Floats) -> Floats:
    """Sizes that give the net pnl as it is stated, to a millionth; NaN for the others, of which
    the stated pnl is taken at its word."""
    close = np.abs(computed - stated) <= 1e-6 * np.abs(stated) + 1e-8
    explained: Floats = np.where(close, size, np.nan)
    return explained
