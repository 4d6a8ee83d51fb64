"""Open positions: SQL says what core says, to the last bit."""

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowdefeat_pipeline.core.funds.risk import open_loss_exceeds_gain
from knowdefeat_pipeline.core.metrics.open_positions import max_drawdown_with_open
from knowdefeat_pipeline.postgres.connection import connect
from tests.conftest import temporary_database

AMOUNT = st.floats(1e-18, 1e15)
# Amounts of possible trades do not come nearer to 0: what would underflow in SQL cannot occur.
DEPTH = st.one_of(st.just(0.0), st.floats(1e-100, 1e15))
MONEY = st.one_of(st.none(), DEPTH, DEPTH.map(lambda amount: -amount))


@pytest.fixture(scope="module")
def connection(server_url: str, template: str) -> Iterator[psycopg.Connection]:
    with temporary_database(server_url, template) as url, connect(url) as opened:
        yield opened


def in_sql(connection: psycopg.Connection, name: str, *arguments: object) -> object:
    ((found,),) = connection.execute(
        f"SELECT {name}({', '.join(['%s::float8'] * len(arguments))})", arguments
    ).fetchall()
    return found


def plain(value: float) -> float | None:
    return None if value != value else float(value)


def array(value: float | None) -> np.ndarray:
    return np.array([np.nan if value is None else value])


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.none(), st.floats(0, 1e6)), DEPTH, AMOUNT, MONEY)
def test_the_drawdown_with_open_positions(
    connection: psycopg.Connection, deepest: float | None, below: float, peak: float, pnl: float | None
) -> None:
    (expected,) = max_drawdown_with_open(array(deepest), array(below), array(peak), array(pnl))
    assert in_sql(connection, "max_drawdown_with_open", deepest, below, peak, pnl) == plain(expected)


@settings(deadline=None, max_examples=200)
@given(MONEY, MONEY)
def test_whether_a_loss_exceeds_the_gain(connection: psycopg.Connection, pnl: float | None, gain: float | None) -> None:
    (expected,) = open_loss_exceeds_gain(array(pnl), array(gain))
    assert in_sql(connection, "open_loss_exceeds_gain", pnl, gain) is bool(expected)
