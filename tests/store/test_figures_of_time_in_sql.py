"""The figures that change as time goes by: SQL says what core.metrics says, to the last bit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.metrics.drawdown import time_in_drawdown
from knowdefeat_pipeline.core.metrics.engine import TINY
from knowdefeat_pipeline.core.metrics.figures import trade_frequency, volatility
from knowdefeat_pipeline.core.units import NEVER, WINDOW_DAYS, micros
from knowdefeat_pipeline.postgres.connection import connect
from tests.conftest import temporary_database

FIRST = datetime(2024, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection(server_url: str, template: str) -> Iterator[psycopg.Connection]:
    with temporary_database(server_url, template) as url, connect(url) as opened:
        yield opened


def in_sql(connection: psycopg.Connection, *arguments: object) -> float | None:
    ((found,),) = connection.execute("SELECT time_in_drawdown(%s, %s, %s, %s)", arguments).fetchall()
    return found


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 10**6), st.integers(0, 40 * 86_400_000_000), st.just(0.0) | st.floats(TINY, 1e9))
def test_trade_frequency_and_volatility_are_the_same(
    connection: psycopg.Connection, trades: int, age: int, sd: float
) -> None:
    as_of = FIRST + timedelta(microseconds=age)
    statement = "SELECT f, %s::float8 * sqrt(f) FROM trade_frequency(%s, %s, %s) AS f"
    (found,) = connection.execute(statement, (sd, trades, FIRST, as_of)).fetchall()
    frequency = trade_frequency(np.array([trades]), micros([FIRST]), micros([as_of]), WINDOW_DAYS)
    assert found == (frequency[0], volatility(np.array([sd]), frequency)[0])


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 40 * 86_400_000_000), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_both_are_the_same(
    connection: psycopg.Connection, length: int, ended: float, since: float, below: bool
) -> None:
    as_of = FIRST + timedelta(microseconds=length)
    begun = FIRST + timedelta(microseconds=int(length * since))
    spent = int(ended * since * length)
    expected = time_in_drawdown(
        micros([as_of]), micros([FIRST]), np.array([spent]), micros([begun]) if below else np.array([NEVER])
    )
    assert [in_sql(connection, as_of, FIRST, spent, begun if below else None)] == expected.tolist()


def test_no_trades_have_no_frequency(connection: psycopg.Connection) -> None:
    assert connection.execute("SELECT trade_frequency(0, %s, %s)", (FIRST, FIRST)).fetchall() == [(None,)]


def test_without_time_or_trades_there_is_none(connection: psycopg.Connection) -> None:
    assert in_sql(connection, FIRST, FIRST, 0, FIRST) is None
    assert in_sql(connection, FIRST, None, 0, None) is None
    assert in_sql(connection, FIRST + timedelta(hours=4), FIRST, 3_600_000_000, None) == 25.0
