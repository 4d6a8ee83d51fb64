"""Times in every unambiguous spelling, all cells at once: dates with clock times, numbers since 1970, Excel's days."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowdefeat_pipeline.core.units import Bools, Floats, Ints
from knowdefeat_pipeline.sources import clocks
from knowdefeat_pipeline.sources.options import Dates

ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC)|[+-]\d\d(:?\d\d)?)?)?$"
ZONED = r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
_CLOCK = (
    r"(?:(?:T|,? +| - )(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d\d)?))?"
SPELLED = rf"^(?P<a>\d{{1,4}})(?P<mark>[-/.])(?P<b>\d{{1,2}})[-/.](?P<c>\d{{1,4}}){_CLOCK}{_ZONE}$"
"""Numbers of a date in some order, a clock time, and a zone."""
AMBIGUOUS = r"^\s*(?P<first>\d{1,2})[-/](?P<second>\d{1,2})[-/](?:\d{4}|\d\d)\b"
"""Dates that end with the year: written with dots they begin with the day, else the order is to be known."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

EPOCH = r"^(\d{9,19}([.,]\d*)?|\d(\.\d+)?[eE]\+?\d{1,2})$"
EARLIEST = 1e8
"""A smaller number is no time since 1970 but a date such as 20250131."""
UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (np.inf, 1e-3))
"""Numbers of times below each bound are seconds, milliseconds, microseconds and nanoseconds: microseconds of one."""
SERIAL = r"^\d{5}([.,]\d*)?$"
SERIALS = (25_569.0, 73_050.0)
"""Excel's days of 1970 and of 2099; it counts them from 1899-12-30."""


@dataclass(frozen=True)
class Moments:
    """`values`: UTC, NaT where a cell holds no time. `naive`: whether each cell holds one without a zone."""

    values: pd.Series
    naive: Bools


def from_text(text: pa.ChunkedArray, clock: str, dates: Dates | None) -> Moments:
    """Cells of large text, trimmed. `clock`: of times that name no zone. `dates`: the order of day and month."""
    iso = _mask(pc.match_substring_regex(text, ISO))
    read = _from_iso(pc.if_else(pa.array(iso), text, pa.scalar(None, text.type)), clock)
    others = np.flatnonzero(~iso & _mask(pc.is_valid(text)))
    if not len(others):
        return read
    rest = pc.take(text, pa.array(others)).combine_chunks()
    numbers, spelled = _from_numbers(rest), _from_spelled(rest, clock, dates)
    values, naive = read.values.copy(), read.naive.copy()
    values.iloc[others] = numbers.fillna(spelled.values).to_numpy()
    naive[others] = spelled.naive
    return Moments(values, naive)


def from_numbers(numbers: pa.ChunkedArray) -> pd.Series:
    """Numbers since 1970 in seconds, ms, µs or ns by their size; Excel's days where all of a column can be that."""
    floats = numbers.cast(pa.float64(), safe=False).to_numpy()
    if _are_serials(floats):
        return _from_serials(floats)
    if pa.types.is_integer(numbers.type):
        return _since_1970(floats, pc.fill_null(numbers.cast(pa.int64(), safe=False), 0).to_numpy())
    return _since_1970(floats, None)


def undecided(text: pa.ChunkedArray) -> tuple[int, int, pa.ChunkedArray]:
    """How many cells begin with the day, how many with the month, and those in which either is possible."""
    text = text.filter(pc.fill_null(pc.match_substring_regex(text, AMBIGUOUS), False))
    parts = pc.extract_regex(text, AMBIGUOUS)
    first = pc.struct_field(parts, "first").cast(pa.int32())
    second = pc.struct_field(parts, "second").cast(pa.int32())
    either = pc.and_(pc.less_equal(first, 12), pc.less_equal(second, 12))
    either = pc.and_(either, pc.not_equal(first, second))
    day_first, month_first = (int(pc.sum(pc.greater(part, 12)).as_py() or 0) for part in (first, second))
    return day_first, month_first, text.filter(either)


def _mask(flags: pa.ChunkedArray) -> Bools:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), dtype=bool)


def _nothing(rows: int) -> pd.Series:
    return pd.Series(pd.NaT, index=range(rows), dtype="datetime64[us, UTC]")


def _from_iso(text: pa.ChunkedArray, clock: str) -> Moments:
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
    if any(pc.any(pc.match_substring(text, zone)).as_py() for zone in (" Z", "UTC")):
        text = pc.replace_substring_regex(text, r" ?(Z|UTC)$", "Z")
    given, zoned = _mask(pc.is_valid(text)), _mask(pc.match_substring_regex(text, ZONED))
    words = text.to_pandas()
    values = _nothing(len(words))
    if zoned.any():
        values[zoned] = pd.to_datetime(words[zoned], format="ISO8601", errors="coerce", utc=True).dt.as_unit("us")
    if (given & ~zoned).any():
        local = pd.to_datetime(words[~zoned], format="ISO8601", errors="coerce").dt.as_unit("us")
        values[~zoned] = clocks.in_utc(local, clock)
    return Moments(values, given & ~zoned)


def _from_numbers(text: pa.Array) -> pd.Series:
    """Cells that are numbers, with a decimal point or comma, as instants; NaT for all others."""
    nothing = pa.scalar(None, text.type)
    is_serial, is_epoch = (pc.match_substring_regex(text, numbers) for numbers in (SERIAL, EPOCH))
    text = pc.replace_substring(text, ",", ".")
    floats = pc.if_else(is_serial, text, nothing).cast(pa.float64()).to_numpy(zero_copy_only=False)
    serials = _from_serials(floats) if _are_serials(floats) else _nothing(len(text))
    number = pc.if_else(is_epoch, text, nothing)
    whole = pc.match_substring_regex(text, r"^[1-8]?\d{9,18}$")
    integers = pc.fill_null(pc.if_else(whole, text, nothing).cast(pa.int64()), 0)
    since_1970 = _since_1970(number.cast(pa.float64()).to_numpy(zero_copy_only=False), integers.to_numpy())
    return since_1970.fillna(serials)


def _are_serials(numbers: Floats) -> bool:
    given = numbers[~np.isnan(numbers)]
    low, high = SERIALS
    return len(given) > 0 and bool(((given >= low) & (given <= high)).all())


def _from_serials(days: Floats) -> pd.Series:
    """Excel's days to the millisecond, which is as far as their fractions reach."""
    low = SERIALS[0]
    known = np.isfinite(days)
    millis = np.round((np.where(known, days, low) - low) * 86_400_000).astype(np.int64)
    return _instants(millis * 1000, known)


def _since_1970(number: Floats, integers: Ints | None) -> pd.Series:
    """Numbers since 1970 as instants; NaT where they are too small to be one. `integers`: the same exactly, or 0."""
    bounds, micros = (np.array(part) for part in zip(*UNITS, strict=True))
    usable = np.isfinite(number) & (number >= EARLIEST) & (number < 2**63)
    scaled = np.where(usable, number, EARLIEST)
    unit = micros[np.searchsorted(bounds, scaled, side="right")]
    result = np.round(scaled * unit).astype(np.int64)
    if integers is not None:
        exact = np.where(unit < 1, integers // 1000, integers * np.maximum(unit, 1).astype(np.int64))
        result = np.where(integers > 0, exact, result)
    return _instants(result, usable)


def _instants(micros: Ints, known: Bools) -> pd.Series:
    return pd.Series(pd.to_datetime(micros, unit="us", utc=True)).dt.as_unit("us").where(known)


def _from_spelled(text: pa.Array, clock: str, dates: Dates | None) -> Moments:
    parts = pc.extract_regex(_with_month_numbers(text), SPELLED)
    found = _mask(pc.is_valid(parts))
    part = {field.name: pc.fill_null(pc.struct_field(parts, field.name), "") for field in parts.type}
    day, is_date = _dates(part, dates)
    since_midnight, is_clock = _clock_times(part)
    zoned = _mask(pc.not_equal(part["zone"], ""))
    known = found & is_date & is_clock
    local = pd.Series((day + since_midnight).astype("datetime64[us]")).where(known)
    offset = pd.Series(_offsets(part["zone"]).astype("timedelta64[us]"))
    values = clocks.in_utc(local.where(~zoned), clock)
    return Moments(values.fillna((local - offset).where(zoned).dt.tz_localize("UTC").dt.as_unit("us")), known & ~zoned)


def _with_month_numbers(text: pa.Array) -> pa.Array:
    """`2 Nov 2026 9:00` and `Nov 2, 2026 9:00` as `2026-11-2 9:00`: there the order is plain."""
    if not pc.any(pc.match_substring_regex(text, r"[A-Za-z]{3}")).as_py():
        return text
    for number, month in enumerate(MONTHS, 1):
        name = rf"(?i:{month})[A-Za-z]{{0,6}}\.?"
        text = pc.replace_substring_regex(text, rf"^(\d{{1,2}})[-/. ]{name}[-/., ]+(\d{{4}})", rf"\2-{number}-\1")
        text = pc.replace_substring_regex(text, rf"^{name} +(\d{{1,2}}),? +(\d{{4}})", rf"\2-{number}-\1")
        text = pc.replace_substring_regex(text, rf"^(\d{{1,2}})[-/. ]{name}[-/. ]+(\d\d)\b", rf"20\2-{number}-\1")
    return text


def _dates(part: dict[str, pa.Array], dates: Dates | None) -> tuple[NDArray[np.datetime64], Bools]:
    """The days that the numbers `a`, `b`, `c` mean, and where they are one."""
    a, b, c = (_integers(part[name]) for name in "abc")
    length_a, length_c = (pc.utf8_length(part[name]).to_numpy() for name in "ac")
    dotted = _mask(pc.equal(part["mark"], "."))
    ends_with_year = (length_a <= 2) & ((length_c == 4) | (length_c == 2))
    month_first = ends_with_year & ~dotted & (dates == "month-first")
    day_first = ends_with_year & (dotted | (dates == "day-first"))
    year_first = (length_a == 4) & (length_c <= 2)
    order = [year_first, day_first, month_first]
    last = c + np.where(length_c == 2, 2000, 0)
    year, month = np.select(order, [a, last, last], 1970), np.select(order, [b, b, a], 1)
    day = np.select(order, [c, a, b], 1)
    possible = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    first = ((np.where(possible, year, 1970) - 1970) * 12 + np.where(possible, month, 1) - 1).astype("datetime64[M]")
    date = first.astype("datetime64[D]") + (np.where(possible, day, 1) - 1)
    possible &= date.astype("datetime64[M]") == first
    return date.astype("datetime64[us]"), possible & np.any(order, axis=0)


def _clock_times(part: dict[str, pa.Array]) -> tuple[NDArray[np.timedelta64], Bools]:
    """The time of day, midnight where there is none, and where it is one."""
    hour, minute, second = (_integers(part[name]) for name in ("hour", "minute", "second"))
    half = pc.utf8_lower(part["half"])
    afternoon, halved = _mask(pc.equal(half, "p")), _mask(pc.not_equal(half, ""))
    possible = (minute < 60) & (second < 60) & np.where(halved, (hour >= 1) & (hour <= 12), hour < 24)
    hour = np.where(halved, hour % 12 + np.where(afternoon, 12, 0), hour)
    micros = _integers(pc.utf8_slice_codeunits(pc.utf8_rpad(part["fraction"], 6, "0"), 0, 6))
    total = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
    return total.astype("timedelta64[us]"), possible


def _offsets(zone: pa.Array) -> NDArray[np.timedelta64]:
    parts = pc.extract_regex(zone, r"^(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d\d)?$")
    hours, minutes = (_integers(pc.fill_null(pc.struct_field(parts, name), "")) for name in ("hours", "minutes"))
    ahead = np.where(_mask(pc.equal(pc.struct_field(parts, "sign"), "-")), -1, 1)
    offset: NDArray[np.timedelta64] = (ahead * (hours * 60 + minutes) * 60_000_000).astype("timedelta64[us]")
    return offset


def _integers(text: pa.Array) -> Ints:
    """Digits as numbers, 0 where there are none."""
    empty = pc.equal(text, "")
    integers: Ints = pc.if_else(empty, pa.scalar("0", text.type), text).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return integers
