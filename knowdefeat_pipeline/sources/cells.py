"""Columns of foreign cells read as text, numbers and times, all cells at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources import clocks, moments, numerals
from knowdefeat_pipeline.sources.fields import Kind
from knowdefeat_pipeline.sources.options import Dates, Decimal

LONGEST_TEXT = 500
EXACT = 2**53  # up to which every whole number is one of double precision
NOTHING = r"^(?i:null|none|\\n|nat|na|n/a|-|–|—)?$"
"""How exports spell a missing number or time."""
NO_TEXT = r"^(\\N|\\n)?$"
"""How they spell a missing text: `NA` may be a ticker."""
NUMBER = numerals.PLAIN
_PLAIN_CELL = rf"^\s*(?i:{NUMBER.strip('^$')}|{NOTHING.strip('^$')})?\s*$"


Test = Callable[[pa.DataType], bool]
NUMERIC: tuple[Test, ...] = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
HOLDS: dict[Kind, tuple[Test, ...]] = {
    "text": (pa.types.is_integer, pa.types.is_floating),
    "bot": (pa.types.is_integer, pa.types.is_floating),
    "time": (pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer, pa.types.is_floating),
}
"""Which Arrow types, beside text and null, hold values of a kind; the other kinds are numbers."""


@dataclass(frozen=True)
class Cells:
    """One column read, with one bool per row for what stands in a cell without being a value of its kind.

    `values`: missing or unreadable is None, NaT or NaN. `unreadable`: the cell holds something else. `nan`: the cell
    says not-a-number, which some writers mean as missing. `naive`: whether any time came without a zone. `percent`:
    which numbers are percentages, already divided by 100; None where none is. `unit`: what each number is counted in
    by its cell (a sign, a code), empty where the cell does not say; None where no cell does.
    """

    values: pd.Series
    unreadable: Bools
    nan: Bools
    naive: bool = False
    percent: Bools | None = None
    unit: pd.Series | None = None


def accepts(kind: Kind, type_: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold values of the kind at all. Text can hold anything."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return pa.types.is_null(type_) or is_text(type_) or any(test(type_) for test in HOLDS.get(kind, NUMERIC))


def read(
    kind: Kind, column: pa.ChunkedArray, clock: str, decimal: Decimal | None = None, dates: Dates | None = None
) -> Cells:
    """Read a column whose type `accepts` allows. `clock`: of times that name no zone (see `clocks`).

    `decimal`: the notation of a text column's numbers; None reads only what programs write, such as 1234.5.
    `dates`: whether a date that ends with the year begins with the day or the month; None reads neither.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kind == "text":
        return _read_text(column)
    if kind == "time":
        return _read_times(column, clock, dates)
    if kind == "bot":
        return _read_bots(column)
    cells = _read_numbers(column, kind, decimal)
    return _whole(cells) if kind in ("integer", "count") else cells


def words(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The cells of a text column, trimmed and as large text, null where they hold nothing; None for other types."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return _stripped(column, NOTHING) if is_text(column.type) else None


def is_plain(column: pa.ChunkedArray) -> bool:
    """Whether every cell of a text column is a number as programs write it, or nothing."""
    return pc.all(pc.match_substring_regex(column, _PLAIN_CELL)).as_py() is not False


def is_text(type_: pa.DataType) -> bool:
    """Whether a column of this Arrow type is text."""
    return type_ in (pa.string(), pa.large_string(), pa.string_view())


def _stripped(column: pa.ChunkedArray, nothing: str) -> pa.ChunkedArray:
    """Cells as text without surrounding blanks; those that mean nothing are null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    empty = pc.match_substring_regex(text, nothing)
    return pc.if_else(empty, pa.scalar(None, pa.large_string()), text)


def _mask(flags: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=bool)


def _nowhere(column: pa.ChunkedArray) -> Bools:
    return np.zeros(len(column), dtype=bool)


def _read_text(column: pa.ChunkedArray) -> Cells:
    text = _stripped(column, NO_TEXT)
    bad = pc.or_(pc.greater(pc.utf8_length(text), LONGEST_TEXT), pc.match_substring(text, "\0"))
    return Cells(text.to_pandas().astype("str"), _mask(bad), _nowhere(text))


def _read_numbers(column: pa.ChunkedArray, kind: Kind, decimal: Decimal | None) -> Cells:
    if not is_text(column.type):
        numbers = column.cast(pa.float64(), safe=False)
        return Cells(pd.Series(numbers.to_numpy()), _nowhere(column), _mask(pc.is_nan(numbers)))
    text = _stripped(column, NOTHING)
    if decimal is not None and kind not in ("integer", "count"):
        return _read_written(text, kind, decimal)
    readable = pc.match_substring_regex(text, NUMBER, ignore_case=True)
    numbers = pc.if_else(readable, text, pa.scalar(None, pa.large_string())).cast(pa.float64())
    return Cells(pd.Series(numbers.to_numpy()), _mask(pc.invert(readable)), _mask(pc.is_nan(numbers)))


def _read_written(text: pa.ChunkedArray, kind: Kind, decimal: Decimal) -> Cells:
    """Numbers in one notation. A percentage is a fraction, and nothing else."""
    numbers = numerals.read(text, decimal)
    misplaced = numbers.percent & (kind != "fraction")
    nan = numbers.readable & numbers.values.isna().to_numpy()
    return Cells(
        numbers.values.mask(misplaced),
        _mask(pc.is_valid(text)) & (~numbers.readable | misplaced),
        nan,
        percent=numbers.percent,
        unit=numbers.unit if (numbers.unit.fillna("") != "").any() else None,
    )


def _whole(cells: Cells) -> Cells:
    """Numbers of PostgreSQL's type integer."""
    values = cells.values.to_numpy()
    fits = np.isnan(values) | ((values == np.floor(values)) & (np.abs(values) < 2**31))
    return Cells(cells.values.where(fits), cells.unreadable | ~fits, cells.nan)


def _read_bots(column: pa.ChunkedArray) -> Cells:
    """Names of bots. Numbers that were read as fractions, as columns with gaps are, are whole again; beyond `EXACT`
    nobody knows which."""
    if not pa.types.is_floating(column.type):
        return _read_text(column)
    numbers = column.cast(pa.float64()).to_numpy()
    whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < EXACT)
    named = pd.array(np.where(whole, numbers, 0).astype(np.int64)).astype("str")
    names = pd.Series(named).where(whole)
    return Cells(names.astype("str"), ~np.isnan(numbers) & ~whole, np.isnan(numbers))


def _read_times(column: pa.ChunkedArray, clock: str, dates: Dates | None) -> Cells:
    if is_text(column.type):
        text = _stripped(column, NOTHING)
        read = moments.from_text(text, clock, dates)
        unreadable = _mask(pc.is_valid(text)) & read.values.isna().to_numpy()
        return Cells(read.values, unreadable, _nowhere(text), bool(read.naive.any()))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = moments.from_numbers(column)
        given = _mask(pc.and_(pc.is_valid(column), pc.invert(pc.is_nan(column.cast(pa.float64(), safe=False)))))
        return Cells(values, given & values.isna().to_numpy(), ~given)
    naive = not (pa.types.is_timestamp(column.type) and column.type.tz)
    instants = column.cast(pa.timestamp("us", tz=None if naive else "UTC"), safe=False).to_pandas()
    values = clocks.in_utc(instants, clock) if naive else instants
    unreadable = (values.isna() & instants.notna()).to_numpy()
    return Cells(values, unreadable, _nowhere(column), naive and bool(instants.notna().any()))
