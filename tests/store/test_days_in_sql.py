"""day_of, day_start and day_end in SQL say what core.units says, at every edge."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core import units
from knowdefeat_pipeline.postgres.connection import connect
from tests.conftest import temporary_database

INSTANT = timedelta(microseconds=1)
EDGES = [
    date(1969, 12, 31),
    date(1970, 1, 1),
    date(2024, 2, 29),
    date(2024, 12, 31),
    date(2025, 1, 1),
    date(1900, 3, 1),
]


@pytest.fixture(scope="module")
def connection(server_url: str, template: str) -> Iterator[psycopg.Connection]:
    with temporary_database(server_url, template) as url, connect(url) as opened:
        yield opened


def in_sql(connection: psycopg.Connection, instant: datetime, day: date) -> tuple[date, datetime, datetime]:
    (row,) = connection.execute("SELECT day_of(%s), day_start(%s), day_end(%s)", (instant, day, day)).fetchall()
    return row


def in_core(instant: datetime, day: date) -> tuple[date, datetime, datetime]:
    (micros,) = units.micros([instant])
    assert date(1970, 1, 1) + timedelta(days=int(units.day_of(int(micros)))) == units.day_of(instant)
    return units.day_of(instant), units.day_start(day), units.day_end(day)


@pytest.mark.parametrize("day", EDGES)
def test_a_midnight_belongs_to_the_day_that_begins(connection: psycopg.Connection, day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for instant, expected in (
        (midnight - INSTANT, day - timedelta(days=1)),
        (midnight, day),
        (midnight + INSTANT, day),
        (midnight + timedelta(days=1) - INSTANT, day),
    ):
        assert in_sql(connection, instant, expected) == in_core(instant, expected)
        found, start, end = in_sql(connection, instant, expected)
        assert (found, start <= instant < end) == (expected, True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(
    st.integers(-62_000, 84_000).map(lambda day: date(1970, 1, 1) + timedelta(days=day)),
    st.one_of(st.just(0), st.integers(0, units.DAY - 1)),
    st.sampled_from([-1, 0, 1]),
    st.integers(-14 * 60, 14 * 60),
)
@example(date(1970, 1, 1), 0, -1, 0)
@example(date(2024, 12, 31), 0, 0, -60)
def test_sql_and_core_agree(connection: psycopg.Connection, day: date, time: int, edge: int, offset: int) -> None:
    """Whatever zone the instant is given in, and whatever zone the session shows times in."""
    utc = datetime(day.year, day.month, day.day, tzinfo=UTC) + (time + edge) * INSTANT
    instant = utc.astimezone(timezone(timedelta(minutes=offset)))
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL timezone = 'America/New_York'")
        assert in_sql(connection, instant, day) == in_core(instant, day)
