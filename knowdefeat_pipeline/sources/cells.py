"""Columns of foreign cells read as text, numbers and times, all cells at once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from knowdefeat_pipeline.core.units import Bools
from knowdefeat_pipeline.sources.canonical import Kind

LONGEST_TEXT = 500
EXACT = 2**53  # up to which every whole number is one of double precision
NOTHING = ("", "null", "none", "\\n", "nat", "na", "n/a")  # how exports spell a missing number or time, in lower case
NUMBER = r"^[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"
TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC)|[+-]\d\d(:?\d\d)?)?)?$"
ZONE = r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"


Test = Callable[[pa.DataType], bool]
NUMERIC: tuple[Test, ...] = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
HOLDS: dict[Kind, tuple[Test, ...]] = {
    "text": (pa.types.is_integer, pa.types.is_floating),
    "bot": (pa.types.is_integer, pa.types.is_floating),
    "time": (pa.types.is_timestamp, pa.types.is_date),
}
"""Which Arrow types, beside text and null, hold values of a kind; the other kinds are numbers."""


@dataclass(frozen=True)
class Cells:
    """One column read, with one bool per row for what stands in a cell without being a value of its kind.

    `values`: missing or unreadable is None, NaT or NaN. `unreadable`: the cell holds something else. `nan`: the cell
    says not-a-number, which some writers mean as missing. `naive`: whether any time came without a zone.
    """

    values: pd.Series
    unreadable: Bools
    nan: Bools
    naive: bool = False


def accepts(kind: Kind, type_: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold values of the kind at all. Text can hold anything."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return pa.types.is_null(type_) or _is_text(type_) or any(test(type_) for test in HOLDS.get(kind, NUMERIC))


def read(kind: Kind, column: pa.ChunkedArray, timezone: str) -> Cells:
    """Read a column whose type `accepts` allows. `timezone`: the IANA zone of times that name none."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kind == "text":
        return _read_text(column)
    if kind == "time":
        return _read_times(column, timezone)
    if kind == "bot":
        return _read_bots(column)
    cells = _read_numbers(column)
    return _whole(cells) if kind == "integer" else cells


def _is_text(type_: pa.DataType) -> bool:
    return type_ in (pa.string(), pa.large_string(), pa.string_view())


def _stripped(column: pa.ChunkedArray, nothing: tuple[str, ...]) -> pa.ChunkedArray:
    """Cells as text without surrounding blanks; those that mean nothing are null."""
    text = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    empty = pc.is_in(pc.utf8_lower(text), pa.array(nothing, pa.large_string()))
    return pc.if_else(empty, pa.scalar(None, pa.large_string()), text)


def _mask(flags: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=bool)


def _nowhere(column: pa.ChunkedArray) -> Bools:
    return np.zeros(len(column), dtype=bool)


def _read_text(column: pa.ChunkedArray) -> Cells:
    text = _stripped(column, ("", "\\n"))
    bad = pc.or_(pc.greater(pc.utf8_length(text), LONGEST_TEXT), pc.match_substring(text, "\0"))
    return Cells(text.to_pandas().astype("str"), _mask(bad), _nowhere(text))


def _read_numbers(column: pa.ChunkedArray) -> Cells:
    if not _is_text(column.type):
        numbers = column.cast(pa.float64())
        return Cells(pd.Series(numbers.to_numpy()), _nowhere(column), _mask(pc.is_nan(numbers)))
    text = _stripped(column, NOTHING)
    readable = pc.match_substring_regex(text, NUMBER, ignore_case=True)
    numbers = pc.if_else(readable, text, pa.scalar(None, pa.large_string())).cast(pa.float64())
    return Cells(pd.Series(numbers.to_numpy()), _mask(pc.invert(readable)), _mask(pc.is_nan(numbers)))


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


def _read_times(column: pa.ChunkedArray, timezone: str) -> Cells:
    if _is_text(column.type):
        return _times_from_text(_stripped(column, NOTHING), timezone)
    naive = not (pa.types.is_timestamp(column.type) and column.type.tz)
    moments = column.cast(pa.timestamp("us", tz=None if naive else "UTC"), safe=False).to_pandas()
    values = _in_utc(moments, timezone) if naive else moments
    unreadable = (values.isna() & moments.notna()).to_numpy()
    return Cells(values, unreadable, _nowhere(column), naive and bool(moments.notna().any()))


def _times_from_text(text: pa.ChunkedArray, timezone: str) -> Cells:
    given = _mask(pc.is_valid(text))
    shaped = pc.if_else(pc.match_substring_regex(text, TIME), text, pa.scalar(None, pa.large_string()))
    shaped = pc.replace_substring_regex(shaped, r"(\.\d{6})\d+", r"\1")
    shaped = pc.replace_substring_regex(shaped, r" ?(Z|UTC)$", "Z")
    zoned = _mask(pc.match_substring_regex(shaped, ZONE))
    words = shaped.to_pandas()
    values = pd.Series(pd.NaT, index=words.index, dtype="datetime64[us, UTC]")
    if zoned.any():
        values[zoned] = pd.to_datetime(words[zoned], format="ISO8601", errors="coerce", utc=True).dt.as_unit("us")
    if not zoned.all():
        moments = pd.to_datetime(words[~zoned], format="ISO8601", errors="coerce").dt.as_unit("us")
        values[~zoned] = _in_utc(moments, timezone)
    return Cells(values, given & values.isna().to_numpy(), _nowhere(text), bool((given & ~zoned).any()))


def _in_utc(moments: pd.Series, timezone: str) -> pd.Series:
    """Local times as UTC; NaT where the local clock skips or repeats the time."""
    local = moments.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    return pd.Series(local.dt.tz_convert("UTC").dt.as_unit("us"))
