"""Units that everything shares: instants, days and windows, what rounding may do, and the types of arrays.

Every interval is half-open. A figure at `as_of` looks at trades with exit_time < as_of; a window is [as_of - length,
as_of); a day is a UTC day [00:00, 24:00). Inside core an instant is an int64 number of microseconds since 1970 UTC and
a day the number of days since 1970-01-01 (negative before).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
Texts: TypeAlias = NDArray[np.object_]
Codes: TypeAlias = NDArray[np.int32]
Array: TypeAlias = NDArray[Any]

SECOND = 1_000_000
DAY = 86_400 * SECOND
NEVER = int(np.iinfo(np.int64).min)
"""In place of an instant that there is none of: what NumPy takes for no time."""
WINDOW_DAYS = 30
"""The length of the main window."""

ROUNDING = 1e-12
"""What a sum of trades may be off by through rounding, as a share of the sum of their sizes."""
EQUAL = 1e-9
"""Relative difference up to which two results are equal: the same return reached from other prices."""

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def micros(instants: Sequence[datetime] | pd.Series | pd.DatetimeIndex) -> Ints:
    """Instants that know their time zone as int64 microseconds since 1970 UTC.

    >>> micros([datetime(1970, 1, 2, tzinfo=UTC)]).tolist()
    [86400000000]
    """
    if not isinstance(instants, Sequence) and len(instants):
        import pandas as pd  # 50 MB that who has no frame, such as the pages, does not pay

        return pd.DatetimeIndex(instants).tz_convert("UTC").as_unit("us").asi8
    return np.array([(instant - _EPOCH) // _MICROSECOND for instant in instants], np.int64)


@overload
def day_of(instant: datetime) -> date: ...
@overload
def day_of(instant: int) -> int: ...
@overload
def day_of(instant: Ints) -> Ints: ...
def day_of(instant: datetime | int | Ints) -> date | int | Ints:
    """The UTC day that an instant falls in: a date of a datetime, else the day's number of microseconds since 1970.

    A midnight belongs to the day that begins.

    >>> day_of(datetime(2025, 1, 2, tzinfo=UTC)), day_of(DAY), day_of(DAY - 1), day_of(-1)
    (datetime.date(2025, 1, 2), 1, 0, -1)
    """
    return instant.astimezone(UTC).date() if isinstance(instant, datetime) else instant // DAY


@overload
def last_day(as_of: int) -> int: ...
@overload
def last_day(as_of: Ints) -> Ints: ...
def last_day(as_of: int | Ints) -> int | Ints:
    """The number of the last UTC day that a figure at `as_of` looks at: the running one, or the one that ends then.

    >>> last_day(2 * DAY), last_day(2 * DAY + 1)
    (1, 2)
    """
    return (as_of - 1) // DAY


def day_start(day: date) -> datetime:
    """The midnight at which the UTC day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def day_end(day: date) -> datetime:
    """The midnight at which the UTC day ends, and the next one begins."""
    return day_start(day + timedelta(days=1))


def each_day(first: date, last: date) -> list[date]:
    """All days from first to last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def span(first: date, last: date) -> tuple[datetime, datetime]:
    """The instants at which the first day begins and the last one ends."""
    return day_start(first), day_end(last)


def as_of(day: date, now: datetime) -> datetime:
    """The instant at which a day's figures are true: its end, or `now` while it runs."""
    return min(day_end(day), now)
