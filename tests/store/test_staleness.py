"""What is pending, on a real server: new, late and out-of-order trades, days that end, and what is settled."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.staleness import (
    LAST_ASSET,
    Pending,
    Settled,
    current_snapshot,
    day_is_locked,
    listener_is_there,
    listener_lock,
    lock_days,
    mark,
    marks,
    pending_days,
)

NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def connection(database: str):
    with connect(database) as connection:
        yield connection


def close(connection: psycopg.Connection, exit_time: datetime, bot: int = 1, price: float = 101) -> None:
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
        " VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 100, %s, 100)",
        (bot, exit_time - timedelta(hours=1), exit_time, price),
    )


def end(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)


def refresh(connection: psycopg.Connection, first: date, last: date, now: datetime = NOW) -> None:
    """What a successful run leaves: marks of all days."""
    seen = current_snapshot(connection)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    mark(connection, LAST_ASSET, [(day, min(end(day), now), seen) for day in days])


def found(connection: psycopg.Connection, now: datetime = NOW) -> tuple[date, date, int] | int:
    pending = pending_days(connection, now)
    return pending.days if isinstance(pending, Settled) else (pending.first, pending.last, pending.trades)


def test_without_trades_nothing_is_pending(connection: psycopg.Connection) -> None:
    assert found(connection) == 0


def test_a_new_trade_is_pending_until_its_day_was_refreshed(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(minutes=1))
    assert found(connection) == (TODAY, TODAY, 1)
    assert found(connection) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1


def test_a_late_trade_touches_its_day_and_every_computed_day_after_it(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=5), TODAY)
    close(connection, NOW - timedelta(days=3))
    assert found(connection) == (TODAY - timedelta(days=3), TODAY, 1)
    refresh(connection, TODAY - timedelta(days=3), TODAY - timedelta(days=3))
    assert found(connection) == (TODAY - timedelta(days=2), TODAY, 1)
    refresh(connection, TODAY - timedelta(days=2), TODAY)
    assert found(connection) == 6


def test_an_exit_at_midnight_belongs_to_the_day_that_ends(connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    refresh(connection, yesterday, TODAY)
    close(connection, end(yesterday))
    assert found(connection) == (yesterday, TODAY, 1)


def test_a_transaction_that_commits_last_is_not_missed(database: str, connection: psycopg.Connection) -> None:
    with psycopg.connect(database) as slow:  # begins first, commits last
        close(slow, NOW - timedelta(minutes=3), bot=1)
        close(connection, NOW - timedelta(minutes=2), bot=2)
        assert found(connection) == (TODAY, TODAY, 1)
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        close(connection, NOW - timedelta(minutes=1), bot=3)
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        slow.commit()
    assert found(connection) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1


def test_trades_that_were_read_stay_read_while_an_older_transaction_is_open(
    database: str, connection: psycopg.Connection
) -> None:
    with psycopg.connect(database) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        close(connection, NOW - timedelta(minutes=2))
        refresh(connection, TODAY, TODAY)
        assert found(connection) == 1
        slow.rollback()


def test_a_trade_that_closes_is_new(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional)"
        " VALUES (1, 'COIN', 'LONG', %s, 100, 100)",
        (NOW - timedelta(hours=1),),
    )
    assert found(connection) == 0
    refresh(connection, TODAY, TODAY)
    connection.execute("UPDATE trades SET status = 'closed', exit_time = %s, exit_price = 101", (NOW,))
    assert found(connection) == (TODAY, TODAY, 1)


def test_a_day_that_ended_is_computed_once_more(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY - timedelta(days=1), TODAY)
    tomorrow = end(TODAY) + timedelta(seconds=1)
    pending = pending_days(connection, tomorrow)
    assert pending == Pending(TODAY, TODAY, 0, end(TODAY), None)
    assert pending.batch == "2025-03-10/2025-03-10/end of day"
    refresh(connection, TODAY, TODAY, tomorrow)
    assert found(connection, tomorrow) == 2


def test_days_long_ago_count_only_if_they_were_computed(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(days=200))
    assert found(connection) == 0
    refresh(connection, TODAY - timedelta(days=210), TODAY - timedelta(days=205))
    close(connection, NOW - timedelta(days=207))
    assert found(connection) == (TODAY - timedelta(days=207), TODAY - timedelta(days=205), 1)


def test_what_has_reached_its_days_is_not_looked_at_again(connection: psycopg.Connection) -> None:
    close(connection, NOW - timedelta(minutes=1))
    refresh(connection, TODAY, TODAY)
    assert found(connection) == 1
    ((settled,),) = connection.execute("SELECT seen::text FROM settled_trades").fetchall()
    ((visible,),) = connection.execute(
        "SELECT pg_visible_in_snapshot(recorded_xid, %s::pg_snapshot) FROM trades", (settled,)
    ).fetchall()
    assert visible
    assert found(connection) == 1
    assert connection.execute("SELECT seen::text FROM settled_trades").fetchall() == [(settled,)]


def test_an_exit_a_little_in_the_future_waits_for_its_time(connection: psycopg.Connection) -> None:
    refresh(connection, TODAY, TODAY)
    connection.execute("ALTER TABLE trades DISABLE TRIGGER trades_admit_insert")
    close(connection, NOW + timedelta(minutes=2))
    refresh(connection, TODAY, TODAY)  # has seen it, but its figures end before it
    assert found(connection) == 1
    later = NOW + timedelta(minutes=3)
    assert found(connection, later) == (TODAY, TODAY, 1)
    refresh(connection, TODAY, TODAY, later)
    assert found(connection, later) == 1


def test_marks_pass_from_asset_to_asset(connection: psycopg.Connection) -> None:
    seen = current_snapshot(connection)
    mark(connection, "bot_metrics", [(TODAY, NOW, seen)])
    close(connection, NOW - timedelta(minutes=1))
    mark(connection, LAST_ASSET, marks(connection, "bot_metrics", TODAY, TODAY))
    assert marks(connection, LAST_ASSET, TODAY, TODAY) == [(TODAY, NOW, seen)]
    assert found(connection) == (TODAY, TODAY, 1)


def test_days_are_locked_until_the_holder_is_gone(database: str, connection: psycopg.Connection) -> None:
    yesterday = TODAY - timedelta(days=1)
    with connect(database) as holder:
        lock_days(holder, yesterday, TODAY)
        assert [day_is_locked(connection, day) for day in (yesterday, TODAY, end(TODAY).date())] == [True, True, False]
    lock_days(connection, yesterday, TODAY)  # waits until the server has noticed


def test_one_listener_at_a_time(database: str, connection: psycopg.Connection) -> None:
    assert not listener_is_there(connection)
    with connect(database) as other, listener_lock(other) as first:
        assert first
        assert listener_is_there(connection)
        with listener_lock(connection) as second:
            assert not second
    assert not listener_is_there(connection)


def test_where_trades_keep_coming_those_that_reached_their_days_are_not_looked_at_again(
    connection: psycopg.Connection,
) -> None:
    for minute in range(5):
        close(connection, NOW - timedelta(minutes=10 - minute))
        refresh(connection, TODAY, TODAY)
        close(connection, NOW - timedelta(minutes=9 - minute, seconds=30))
        assert found(connection) == (TODAY, TODAY, 1)
        unsettled = connection.execute(
            "SELECT count(*) FROM trades WHERE NOT pg_visible_in_snapshot(recorded_xid, (SELECT seen FROM settled_trades))"
        ).fetchall()
        assert unsettled == [(1,)]
