"""Days that are locked, and the lease without which nobody waits for whoever has them."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date, timedelta
from threading import Thread

import psycopg
import pytest

from knowdefeat_pipeline.postgres import advisory, clock, leases
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.leases import LeaseLost, dismiss, expired, leased
from knowdefeat_pipeline.store import locks
from knowdefeat_pipeline.store.locks import (
    day_holders,
    days_locked,
    listener_expired_at,
    listener_is_there,
    listener_lock,
    lock_every_day,
)

DAY = date(2025, 3, 10)
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
CHANGE = "INSERT INTO input_changes (input, since) VALUES ('trades', now())"
EXPIRE = "UPDATE session_leases SET expires_at = clock_timestamp() - interval '1 second'"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with closing(connect(database)) as opened:
        yield opened


def test_days_are_locked_by_one_at_a_time_and_as_often_as_it_asks(
    database: str, connection: psycopg.Connection
) -> None:
    later = DAY + timedelta(days=2)
    with days_locked(connection, DAY, later), days_locked(connection, DAY, later), connect(database) as other:
        around = [DAY + timedelta(days=n) for n in range(-1, 4)]
        assert [len(day_holders(other, day, day)) for day in around] == [0, 1, 1, 1, 0]
    assert connection.execute(LOCKS).fetchall() == [(0,)]


def test_one_day_is_locked_as_often_as_it_is_asked_for(database: str, connection: psycopg.Connection) -> None:
    with days_locked(connection, DAY, DAY):
        with days_locked(connection, DAY, DAY), connect(database) as other:
            assert len(day_holders(other, DAY, DAY)) == 1
        with connect(database) as other:
            assert len(day_holders(other, DAY, DAY)) == 1
    assert connection.execute(LOCKS).fetchall() == [(0,)]


def test_a_holder_that_lives_is_waited_for_beyond_patience(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    looks: list[int] = []

    def look(waiting: psycopg.Connection) -> bool:
        looks.append(waiting.execute(LOCKS).fetchall()[0][0])
        return dismiss(waiting)

    monkeypatch.setattr(leases, "dismiss", look)
    got: list[int] = []

    def wait() -> None:
        with connect(database) as other, days_locked(other, DAY, DAY + timedelta(days=2)):
            got.append(other.execute(LOCKS).fetchall()[0][0])
        assert other.closed

    held = DAY + timedelta(days=1)
    with days_locked(connection, held, held):
        thread = Thread(target=wait)
        thread.start()
        while len(looks) < 3:
            assert thread.is_alive()
    thread.join(60)
    assert set(looks) == {2}  # what all share, and the day before the one that was held, stay locked
    assert got == [4]


def test_whoever_removes_results_is_alone(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He waits for every day that is computed, and nobody computes one before his transaction ends."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    steps: list[str] = []

    def remove() -> None:
        with connect(database) as other, other.transaction():
            lock_every_day(other)
            steps.append("removes")

    def compute() -> None:
        with connect(database) as other, days_locked(other, DAY + timedelta(days=9), DAY + timedelta(days=9)):
            steps.append("computes")

    with days_locked(connection, DAY, DAY):
        with connect(database) as other, days_locked(other, DAY + timedelta(days=5), DAY + timedelta(days=5)):
            pass  # days of their own are computed side by side
        remover = Thread(target=remove)
        remover.start()
        with connect(database) as other:
            while not other.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
                assert remover.is_alive()
        steps.append("ends")
    remover.join(60)
    assert steps == ["ends", "removes"]
    with connection.transaction():
        lock_every_day(connection)
        computer = Thread(target=compute)
        computer.start()
        with connect(database) as other:
            while not other.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
                assert computer.is_alive()
        steps.append("ends")
    computer.join(60)
    assert steps == ["ends", "removes", "ends", "computes"]
    assert connection.execute(LOCKS).fetchall() == [(0,)]


def test_a_listener_without_a_lease_is_dismissed_with_all_that_it_holds(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with closing(connect(database)) as stopped, ExitStack() as stack:
        assert stack.enter_context(listener_lock(stopped))
        leases.take(stopped, leases.LEASE)
        stack.enter_context(days_locked(stopped, DAY, DAY))
        assert listener_is_there(connection)
        assert listener_expired_at(connection) is None
        assert not dismiss(connection)
        stopped.execute(EXPIRE)
        ended = listener_expired_at(connection)
        assert ended is not None
        assert ended < clock.now(connection)
        stopped.execute("BEGIN")
        stopped.execute(CHANGE)
        with days_locked(connection, DAY, DAY):
            assert not listener_is_there(connection)
            assert listener_expired_at(connection) is None
            assert not dismiss(connection)
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM input_changes").fetchall() == [(0,)]


def test_the_next_listener_takes_the_place_of_one_without_a_lease(
    database: str, connection: psycopg.Connection
) -> None:
    with closing(connect(database)) as stopped, listener_lock(stopped):
        leases.take(stopped, leases.LEASE)
        with listener_lock(connection) as alone:
            assert not alone
        stopped.execute(EXPIRE)
        with listener_lock(connection) as alone:
            assert alone
        leases.take(connection, leases.LEASE)  # with that of the session that ended goes
        assert connection.execute("SELECT backend = pg_backend_pid() FROM session_leases").fetchall() == [(True,)]
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("SELECT")


def test_nobody_dismisses_itself_nor_a_session_that_took_the_number_of_another(
    database: str, connection: psycopg.Connection
) -> None:
    leases.take(connection, leases.LEASE)
    connection.execute(EXPIRE)
    assert not dismiss(connection)
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    with connect(database) as other:
        assert [found.session for found in expired(other)] == [connection.info.backend_pid]
        connection.execute("UPDATE session_leases SET began = began - interval '1 day'")
        assert expired(other) == []
        assert not dismiss(other)
    leases.take(connection, leases.LEASE)
    assert connection.execute("SELECT count(*) FROM session_leases").fetchall() == [(1,)]


def test_a_session_of_a_role_that_is_not_ours_to_end_is_left_alone(
    database: str, connection: psycopg.Connection
) -> None:
    leases.take(connection, leases.LEASE)
    connection.execute(EXPIRE)
    connection.execute("CREATE ROLE passer_by; GRANT SELECT ON session_leases TO passer_by; "
                       "GRANT pg_read_all_stats TO passer_by")  # fmt: skip
    try:
        with connect(database) as other:
            other.execute("SET ROLE passer_by")
            assert [found.may_end for found in expired(other)] == [False]
            assert not dismiss(other)
    finally:
        connection.execute("DROP OWNED BY passer_by; DROP ROLE passer_by")


def test_whoever_waits_for_any_lock_dismisses_a_holder_that_stands_still(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advisory, "PATIENCE", 0.05)
    monkeypatch.setattr(advisory.granted, "__defaults__", ((), 0.05))
    with closing(connect(database)) as stopped:
        leases.take(stopped, leases.LEASE)
        stopped.execute(EXPIRE)
        stopped.execute("SELECT pg_advisory_lock(42)")
        advisory.take(connection, 42, "a test", for_session=True)
        assert connection.execute(LOCKS).fetchall() == [(1,)]
        with pytest.raises(psycopg.OperationalError):
            stopped.execute("SELECT")


def test_a_lease_is_renewed_while_its_session_computes_and_after_its_connection_broke(
    database: str, connection: psycopg.Connection
) -> None:
    def renewed() -> None:
        connection.execute(EXPIRE)
        while expired(connection):
            pass

    with connect(database) as listener, leased(database, listener, leases.RENEWALS * 0.01):
        renewed()
        listener_pid = listener.info.backend_pid
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
            (listener_pid,),
        )
        renewed()
        assert not dismiss(connection)


def test_what_breaks_a_session_is_told_as_a_lost_lease_only_where_it_was_not_renewed(database: str) -> None:
    broken = psycopg.OperationalError("the server closed the connection")
    for lease, expected in ((1e9, psycopg.OperationalError), (-1.0, LeaseLost)):
        with (
            connect(database) as listener,
            pytest.raises(psycopg.OperationalError) as found,
            leased(database, listener, lease),
        ):
            raise broken
        assert type(found.value) is expected
    assert "did not renew its lease for 0 s" in str(found.value)
