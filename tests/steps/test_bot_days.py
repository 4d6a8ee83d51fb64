"""The days of bots on a real database: what closed and what is open, as the trades themselves say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from knowdefeat_pipeline.core.schema import BOT_DAYS
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.store.bot_days import bot_equity
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.trades import load_trades
from tests.steps import days

TODAY = date(2025, 3, 10)
NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def close(connection: psycopg.Connection, bot: int, ticker: str, at: datetime, price: float, fees: float = 0.0) -> None:
    """A long position of 100 at 100, closed at `price`: each point is 1 of gross pnl."""
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, fees) "
        "VALUES (%s, %s, 'LONG', %s, 100, 100, 'closed', %s, %s, %s)",
        (bot, ticker, at - HOUR, at, price, fees),
    )


def told(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("SELECT * FROM bot_days ORDER BY day, bot_id, ticker").fetchall()


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as connection:
        yield connection


def test_a_day_counts_what_closed_by_its_as_of_and_what_is_open(database: str, connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    close(connection, 1, "ETH", NOON - 24 * HOUR, 104.0, fees=1.0)  # 4 - 1
    close(connection, 1, "ETH", NOON - 23 * HOUR, 98.0, fees=0.5)  # -2 - 0.5
    close(connection, 1, "BTC", NOON - 12 * HOUR, 101.0)  # at midnight: of the day that begins
    close(connection, 2, "ETH", NOON, 200.0)  # at the as_of of the running day: not yet
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, mark_price) "
        "VALUES (2, 'SOL', 'SHORT', %s, 100, 100, 97)",
        (NOON - HOUR,),
    )
    connection.execute("UPDATE position_marks SET (marked_at, day) = (%s, %s)", (NOON - HOUR, TODAY))
    days.refresh(database, yesterday, TODAY, NOON)
    assert told(connection) == [
        (yesterday, 1, "ETH", 2, 1, pytest.approx(0.5), 1.5, None),
        (TODAY, 1, "BTC", 1, 1, pytest.approx(1.0), 0.0, None),
        (TODAY, 2, "SOL", 0, 0, 0.0, 0.0, pytest.approx(3.0)),
    ]


def test_columns_are_those_of_the_definitions(connection: psycopg.Connection) -> None:
    cursor = connection.execute("SELECT * FROM bot_days LIMIT 0")
    assert [column.name for column in cursor.description or ()] == [figure.name for figure in BOT_DAYS]
    comments = connection.execute(
        "SELECT col_description('bot_days'::regclass, attnum) FROM pg_attribute "
        "WHERE attrelid = 'bot_days'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert [bool(text) for (text,) in comments] == [True] * len(BOT_DAYS)


def test_a_fleet_s_days_sum_to_its_trades_and_to_its_metrics(database: str, connection: psycopg.Connection) -> None:
    end = datetime(2025, 3, 1, tzinfo=UTC)
    load_trades(
        database, read_frame(simulate("base", bots=8, days=40, seed=5, end=end).trades, "simulator", end), "fleet"
    )
    last = date(2025, 2, 28)
    days.refresh(database, last - timedelta(days=35), last, end)
    statement = """
        SELECT day_of(exit_time), bot_id, ticker, count(*), count(*) FILTER (WHERE pnl > 0), sum(pnl), sum(fees)
        FROM trades WHERE status = 'closed' AND day_of(exit_time) >= %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
    expected = connection.execute(statement, (last - timedelta(days=35),)).fetchall()
    found = [row[:-1] for row in told(connection) if row[3]]
    assert len(found) > 200
    assert found == [(*row[:5], pytest.approx(row[5], abs=1e-9), pytest.approx(row[6], abs=1e-9)) for row in expected]
    month = dict(
        connection.execute(
            "SELECT bot_id, sum(pnl) FROM bot_days WHERE day > %s - 30 AND day <= %s GROUP BY 1", (last, last)
        ).fetchall()
    )
    for bot, pnl in connection.execute(
        "SELECT bot_id, total_pnl FROM bot_metrics WHERE day = %s AND ticker = '*' AND total_pnl IS NOT NULL", (last,)
    ).fetchall():
        assert month[bot] == pytest.approx(pnl, abs=1e-9)


def test_the_live_path_writes_what_differs_and_comes_to_the_same(database: str, connection: psycopg.Connection) -> None:
    close(connection, 1, "ETH", NOON - 3 * HOUR, 104.0)
    close(connection, 2, "ETH", NOON - 5 * HOUR, 99.0)  # in the same windows at both instants
    written = "SELECT bot_id, xmin::text FROM bot_days_rows ORDER BY 1"
    session = Session(database, connection, Memory(database))
    chain.refresh(session, TODAY, TODAY, NOON)
    before = dict(connection.execute(written).fetchall())
    close(connection, 1, "ETH", NOON + HOUR, 110.0)
    chain.refresh(session, TODAY, TODAY, NOON + 2 * HOUR)
    after = dict(connection.execute(written).fetchall())
    assert (before[1] == after[1], before[2] == after[2]) == (False, True)
    live = told(connection)
    assert [(row[1], row[3], row[5]) for row in live] == [(1, 2, pytest.approx(14.0)), (2, 1, pytest.approx(-1.0))]
    days.refresh(database, TODAY, TODAY, NOON + 2 * HOUR)
    assert told(connection) == live


def test_results_that_changed_are_told_once_a_transaction(database: str, connection: psycopg.Connection) -> None:
    close(connection, 1, "ETH", NOON - 3 * HOUR, 104.0)
    with connect(database) as listener:
        listener.execute("LISTEN knowdefeat_results")
        days.refresh(database, TODAY, TODAY, NOON)
        heard = [message.channel for message in listener.notifies(timeout=5, stop_after=1)]
        assert heard == ["knowdefeat_results"]
        connection.execute("UPDATE bots SET is_active = NOT is_active")
        (message,) = listener.notifies(timeout=5, stop_after=1)
        assert message.payload == ""


def test_a_capital_that_is_estimated_anew_makes_no_step_in_the_equity(
    database: str, connection: psycopg.Connection
) -> None:
    """Two positions at once on the second day: the capital is 200 from there on, for the day before, too."""
    yesterday = TODAY - timedelta(days=1)
    close(connection, 1, "ETH", NOON - 24 * HOUR, 104.0)
    close(connection, 1, "ETH", NOON - 2 * HOUR, 101.0)
    close(connection, 1, "BTC", NOON - 2 * HOUR, 101.0)
    days.refresh(database, yesterday, TODAY, NOON)
    found = [(row["equity"], row["capital"]) for row in bot_equity(connection, 1, yesterday, TODAY)]
    assert found == [(204.0, 200.0), (206.0, 200.0)]
