"""Locks that are waited for: who holds them is told, and the wait goes on."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.advisory import Holder, Lock, granted, holders, take, told
from knowdefeat_pipeline.postgres.connection import connect

NUMBER = int.from_bytes(b"kdmarket", "big")


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with closing(connect(database)) as opened:
        yield opened


def test_a_lock_of_one_number_is_none_of_two(database: str, connection: psycopg.Connection) -> None:
    with connect(database) as other:
        take(other, NUMBER, "it", for_session=True)
        assert [holder.session for holder in holders(connection, Lock.of(NUMBER))] == [other.info.backend_pid]
        high, low = divmod(NUMBER, 2**32)
        assert holders(connection, Lock(high, low, low)) == []
        other.execute("SELECT pg_advisory_lock(%s, 7)", (high,))
        assert [len(holders(connection, Lock(high, *days))) for days in ((7, 7), (1, 9), (8, 9))] == [1, 1, 0]
        assert holders(other, Lock(high, 7, 7)) == []  # one's own are none to wait for


def test_a_wait_names_the_holder_and_goes_on(
    database: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(granted, "__defaults__", ((), 0.02))
    looked = threading.Event()
    look = advisory.holders

    def looking(*arguments: object) -> list[Holder]:
        found = look(*arguments)  # type: ignore[arg-type]
        if caplog.records:
            looked.set()
        return found

    monkeypatch.setattr(advisory, "holders", looking)
    got = []

    def wait() -> None:
        with connect(database) as waiting, waiting.transaction():
            waiting.execute("SET LOCAL lock_timeout = '7s'")
            take(waiting, NUMBER, "another load")
            got.append(waiting.execute("SHOW lock_timeout").fetchall())

    with caplog.at_level(logging.WARNING, "knowdefeat.locks"), connection.transaction():
        take(connection, NUMBER, "nothing")
        thread = threading.Thread(target=wait)
        thread.start()
        assert looked.wait(60)
        assert got == []
    thread.join(60)
    assert got == [[("7s",)]]
    (record,) = caplog.records  # once, however often it looked
    session = connection.info.backend_pid
    assert record.getMessage().startswith(f"Waiting for another load, held by session {session} of the role ")


def test_who_does_not_compute_is_named_with_the_statement_that_ends_it(
    database: str, server_url: str, connection: psycopg.Connection
) -> None:
    connection.execute("DROP ROLE IF EXISTS kd_stranger")
    connection.execute("CREATE ROLE kd_stranger")
    try:
        with connect(database) as other:
            take(other, NUMBER, "it", for_session=True)
            other.execute("SET SESSION AUTHORIZATION kd_stranger")
            (ours,) = holders(connection, Lock.of(NUMBER))
            assert ours.computes  # by the role that logged in
        connection.execute("ALTER ROLE kd_stranger LOGIN PASSWORD 'x'")
        connection.execute("GRANT CONNECT ON DATABASE " + connection.info.dbname + " TO kd_stranger")
        connection.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO kd_stranger")
        with psycopg.connect(database, user="kd_stranger", password="x", autocommit=True) as stranger:
            stranger.execute("SELECT pg_advisory_lock(%s)", (NUMBER,))
            (holder,) = holders(connection, Lock.of(NUMBER))
            session = stranger.info.backend_pid
            assert holder.is_trouble
            assert told([holder]) == (
                f"session {session} of the role kd_stranger (unnamed), whose role does not work for the pipeline; "
                f"end it: SELECT pg_terminate_backend({session})"
            )
    finally:
        connection.execute("DROP OWNED BY kd_stranger")
        connection.execute("DROP ROLE kd_stranger")


def test_one_that_is_silent_is_named_with_its_process() -> None:
    silent = Holder(12, "knowdefeat", "knowdefeat 4711 on web-1", 200.0, True)
    assert str(silent) == (
        "session 12 of the role knowdefeat (knowdefeat 4711 on web-1), silent for 200 s: its process stands still or computes for "
        "long; let it go on: kill -CONT 4711 (on web-1), or end it: SELECT pg_terminate_backend(12)"
    )
    assert str(silent._replace(program="psql")).endswith("for long; end it: SELECT pg_terminate_backend(12)")
    for silence in (119.0, None):
        heard = silent._replace(silent=silence)
        assert not heard.is_trouble
        assert str(heard) == "session 12 of the role knowdefeat (knowdefeat 4711 on web-1)"
