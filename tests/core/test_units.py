"""Days and instants at their edges: a midnight belongs to the day that begins, before 1970 too."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.core.units import DAY, day_end, day_of, day_start, each_day, last_day, micros, span

TICK = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("midnight", ["2025-01-01", "2024-03-01", "1970-01-01", "1969-12-31", "1900-01-01"])
def test_a_midnight_belongs_to_the_day_that_begins(midnight: str) -> None:
    begins = utc(midnight)
    assert day_of(begins) == day_of(begins + TICK) == date.fromisoformat(midnight)
    assert day_of(begins - TICK) == date.fromisoformat(midnight) - timedelta(days=1)
    number = (date.fromisoformat(midnight) - date(1970, 1, 1)).days
    assert day_of(micros([begins - TICK, begins, begins + TICK])).tolist() == [number - 1, number, number]


def test_days_are_counted_from_1970_on() -> None:
    assert [day_of(instant) for instant in (0, DAY - 1, DAY, -1, -DAY, -DAY - 1)] == [0, 0, 1, -1, -1, -2]
    assert day_of(np.array([-1, 0])).dtype == np.int64


def test_the_day_of_another_time_zone_is_utc() -> None:
    assert day_of(datetime(2025, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == date(2024, 12, 31)


def test_the_last_day_of_a_midnight_is_the_one_that_ends() -> None:
    assert [last_day(instant) for instant in (DAY, DAY + 1, 2 * DAY - 1, 2 * DAY, 0)] == [0, 1, 1, 1, -1]


@given(st.integers(-(2**55), 2**55).map(lambda number: datetime(1970, 1, 1, tzinfo=UTC) + number * TICK))
def test_numbers_and_dates_agree(instant: datetime) -> None:
    (number,) = day_of(micros([instant])).tolist()
    assert date(1970, 1, 1) + timedelta(days=number) == day_of(instant)
    assert day_start(day_of(instant)) <= instant < day_end(day_of(instant))


def test_spans_and_as_of() -> None:
    first, last = date(2024, 12, 31), date(2025, 1, 1)
    assert each_day(first, last) == [first, last]
    assert each_day(last, first) == []
    assert span(first, last) == (utc("2024-12-31"), utc("2025-01-02"))
    assert units.as_of(last, utc("2025-01-01 10:00")) == utc("2025-01-01 10:00")
    assert units.as_of(first, utc("2025-01-01 10:00")) == utc("2025-01-01")


def test_micros_are_utc() -> None:
    noon = utc("1970-01-02 12:00:00.000001")
    assert micros([noon]).tolist() == [36 * 3600 * 10**6 + 1]
    with pytest.raises(TypeError):
        micros([datetime(2025, 1, 1)])  # noqa: DTZ001
