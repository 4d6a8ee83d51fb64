"""A foreign table as it was found: every cell untouched, every row with its number."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Bools, Ints
from knowdefeat_pipeline.sources.layout import SourceError

TOTAL = re.compile(
    r"\s*(grand |sub-?)?(total|totals|sum|summe|gesamt|gesamtsumme|zwischensumme|insgesamt|totale|somme)s?\s*+:?\s*",
    re.I,
)
"""What stands in a row that adds up others."""
MOST_COLUMNS = 1000
"""How many columns a table may have; the widest export that we know has some fifty."""


class Content(NamedTuple):
    """The bytes of a file that was read: how many, None of a database, which changes anywhere in it; and their
    SHA-256."""

    size: int | None
    sha256: str


@dataclass(frozen=True)
class Origin:
    """What a file turned out to be. `encoding`, `separator`: of text. `part`: which sheet, table or array was read."""

    format: str
    encoding: str | None = None
    separator: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class RawTable:
    """A foreign table, untouched. `row_number`: of each row of `table`, from 1 below the header; a blank row has a
    number and is none. `misshapen`: the rows that do not fit the header, as (row number, fields). `notes`: what the
    user should know about the file as a whole. `titles`: what stands above the table. `beside`: other tables of the
    same database, by name. `content`: of the file, None where there is none, or it changed while it was read.
    `file`: what it is called. `headings`: the columns that the file has, where others were added. `explained`: of a
    file of fills, those that belong to a trade, a row each with these columns. `units`: the currencies in which a
    workbook shows columns of numbers. `spans`: of such a file, a row a trade: `row_number`, `until`, when the file
    last knows the position held by it; `since`, the last fill before it that makes no trade; `one_way`, whether a
    position has one side at a time; and `either`, whether nothing proves which."""

    table: pa.Table
    row_number: Ints
    misshapen: Sequence[tuple[int, list[str]]] = ()
    origin: Origin = Origin("table")
    notes: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    beside: Mapping[str, pa.Table] = field(default_factory=dict)
    content: Content | None = None
    file: str = "the file"
    headings: tuple[str, ...] = ()
    explained: pa.Table | None = None
    spans: pa.Table | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows of the file."""
        return len(self.row_number) + len(self.misshapen)

    def originals(self, row_numbers: Ints) -> list[dict[str, str | None]]:
        """The untouched text of rows of `table`, column -> cell; None is a null of the file."""
        rows = self.table.take(np.searchsorted(self.row_number, row_numbers))
        columns = [[_as_text(value) for value in column.to_pylist()] for column in rows.columns]
        return [dict(zip(rows.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

    def explains(self, rows: Sequence[Mapping[str, str | None]]) -> list[bool]:
        """Which of these rows of fills, given as `originals` does and with columns beside those of the file, belong to
        trades of it (see `explained`)."""
        if self.explained is None or not rows:
            return [False] * len(rows)
        known = self.explained
        for name in known.column_names:
            if pa.types.is_string(known[name].type):
                known = known.filter(pc.is_in(known[name], pa.array([row.get(name) for row in rows], pa.string())))
        fills = {*zip(*([_as_text(cell) for cell in column.to_pylist()] for column in known.columns), strict=True)}
        return [tuple(row.get(name) for name in known.column_names) in fills for row in rows]

    def keep(self, rows: Bools) -> Self:
        """Only these rows of `table`."""
        return replace(self, table=self.table.filter(pa.array(rows)), row_number=self.row_number[rows])

    def without_blank_rows(self) -> Self:
        """Without the rows in which no cell holds anything."""
        blank = np.ones(self.table.num_rows, dtype=bool)
        for column in self.table.columns:
            if not blank.any():
                break
            blank &= is_blank(column)
        shaped = replace(self, misshapen=[row for row in self.misshapen if any(map(str.strip, row[1]))])
        return shaped.keep(~blank) if blank.any() else shaped

    def without_totals(self, identifier: str | None, times: Sequence[str]) -> Self:
        """Without the rows that add up others: they say so, and have neither an id nor a time. A note names them."""
        candidates = np.ones(self.table.num_rows, dtype=bool)
        for name in times:
            candidates &= is_blank(self.table.column(name))
        found = self._totals(np.flatnonzero(candidates), identifier)
        short = {number: fields for number, fields in self.misshapen if self._is_total(fields, identifier, times)}
        if not found and not short:
            return self
        numbers = sorted([*(int(self.row_number[at]) for at in found), *short])
        rows = np.ones(self.table.num_rows, dtype=bool)
        rows[found] = False
        note = f"{_rows(numbers)} add up others and are no trades: not read"
        if len(numbers) == 1:
            note = f"row {numbers[0]} adds up others and is no trade: not read"
        misshapen = [row for row in self.misshapen if row[0] not in short]
        return replace(self.keep(rows), misshapen=misshapen, notes=(*self.notes, note))

    def _totals(self, candidates: Ints, identifier: str | None) -> list[int]:
        rows = self.originals(self.row_number[candidates]) if len(candidates) else []
        return [int(at) for at, row in zip(candidates, rows, strict=True) if _adds_up(row, identifier)]

    def _is_total(self, fields: list[str], identifier: str | None, times: Sequence[str]) -> bool:
        names = self.table.column_names
        row = dict(zip_longest(names, fields[: len(names)]))
        return len(fields) < len(names) and not any(row[name] for name in times) and _adds_up(row, identifier)


def is_blank(column: pa.ChunkedArray) -> Bools:
    """Which cells hold nothing: null, or blanks alone."""
    empty = pc.is_null(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        empty = pc.or_kleene(empty, pc.equal(pc.utf8_trim_whitespace(column), ""))
    return np.asarray(pc.fill_null(empty, True).to_numpy(zero_copy_only=False), dtype=bool)


def _adds_up(row: dict[str, str | None], identifier: str | None) -> bool:
    named = (row.get(identifier) or "").strip() if identifier else ""
    return (not named or bool(TOTAL.fullmatch(named))) and any(TOTAL.fullmatch(cell or "") for cell in row.values())


def _rows(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:10]))
    return f"rows {shown}{f' and {len(numbers) - 10:,} more' if len(numbers) > 10 else ''}"


def _as_text(value: object) -> str | None:
    """A cell as text that PostgreSQL can hold: it knows no NUL."""
    return None if value is None else str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def named(header: Sequence[object]) -> list[str]:
    """Column names, of which each has one: a heading left empty is named by its place.

    >>> named(["id", "", None])
    ['id', 'column 2', 'column 3']
    """
    texts = ("" if cell is None else str(cell).strip() for cell in header)
    return [text or f"column {place}" for place, text in enumerate(texts, 1)]


def require_columns(names: Sequence[str]) -> None:
    """Raises SourceError where there are more columns than a table of trades has, or several of one name."""
    if len(names) > MOST_COLUMNS:
        raise SourceError(
            f"the table has {len(names):,} columns; up to {MOST_COLUMNS:,} are read: leave out those that say nothing "
            "of a trade"
        )
    name, times = next(iter(Counter(names).most_common(1)), ("", 0))
    if times > 1:
        raise SourceError(f"the column '{name}' appears {times} times; give each column its own name")
