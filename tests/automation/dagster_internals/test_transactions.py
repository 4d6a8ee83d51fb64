"""Connections that break within Dagster's storage: everything is there once, and nothing but a sentence is said."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals import transactions
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.dagster_internals.transactions import OneTransaction
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect
from tests.automation.dagster_internals.test_event_log import LEFT_BEHIND

NOON = "2025-03-01T12:00:00+00:00"
FIRST, DAY = date(2025, 2, 28), date(2025, 3, 1)
RUNS = (
    "SELECT status, count(*) FROM dagster.runs GROUP BY 1",
    "SELECT key, count(*) FROM dagster.run_tags GROUP BY 1 ORDER BY 1",
)


def left_behind(url: str) -> list[list[tuple[Any, ...]]]:
    with connect(url) as connection:
        return [connection.execute(statement).fetchall() for statement in (*LEFT_BEHIND, *RUNS)]


@contextmanager
def ended_at(engine: Engine, statement: str, url: str, times: int) -> Iterator[list[str]]:
    """The session of the engine is ended before the first statements that begin so; the statements that it hit."""
    hit: list[str] = []

    def end(connection: Connection, cursor: Any, said: str, *rest: Any) -> None:
        if said.startswith(statement) and len(hit) < times:
            hit.append(said)
            with connect(url) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (cursor.connection.info.backend_pid,))

    event.listen(engine, "before_cursor_execute", end)
    try:
        yield hit
    finally:
        event.remove(engine, "before_cursor_execute", end)


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "storage"),
    [
        ("INSERT INTO asset_check_executions", "event_log_storage"),
        ("INSERT INTO event_logs", "event_log_storage"),
        ("INSERT INTO runs", "run_storage"),
        ("INSERT INTO run_tags", "run_storage"),
    ],
)
def test_a_run_goes_on_after_its_session_was_ended(
    url: str,
    cloned: Callable[[str], AbstractContextManager[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    statement: str,
    storage: str,
) -> None:
    with cloned(url) as other:
        with open_instance() as instance:
            definitions = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=NOON)})
            with ended_at(getattr(instance, storage)._engine, statement, url, 1) as hit:
                refresh_days(definitions, instance, FIRST, DAY)
            assert len(hit) == 1
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", other)
        with open_instance() as instance:
            definitions = build_defs({"database": DatabaseAt(url=other), "clock": StoppedClock(at=NOON)})
            refresh_days(definitions, instance, FIRST, DAY)
        assert left_behind(url) == left_behind(other)
    said = capfd.readouterr().err
    assert "INSERT INTO" not in said
    assert "Exception while storing" not in said


def test_one_that_does_not_come_back_is_a_sentence(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transactions, "PAUSES", (0.0,))
    with open_instance() as instance:
        definitions = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=NOON)})
        engine = instance.event_log_storage._engine
        with ended_at(engine, "INSERT INTO event_logs", url, 10**6), pytest.raises(RunFailed) as failure:
            refresh_days(definitions, instance, FIRST, DAY)
    assert "The database did not answer during run " in str(failure.value)
    assert "Start it again once the database is up (knowdefeat doctor)." in str(failure.value)
    assert "INSERT INTO" not in str(failure.value) + capfd.readouterr().err


def test_what_was_committed_before_the_connection_broke_is_not_done_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "PAUSES", (0.0,))
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT")
    broken: list[bool] = []

    def break_after_the_commit(connection: Connection) -> None:
        if not broken:
            broken.append(True)
            connection.connection.commit()
            raise OperationalError(None, None, OSError("gone"), connection_invalidated=True)

    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE done (n integer)"))
    event.listen(engine, "commit", break_after_the_commit)
    together = OneTransaction(engine.connect)

    def work() -> int:
        with together.connection() as connection:
            connection.execute(text("INSERT INTO done VALUES (1)"))
        return 7

    assert together.run(work) == 7
    assert broken == [True]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM done")).fetchall() == [(1,)]
    engine.dispose()


def test_what_broke_before_the_commit_is_done_again_whoever_has_its_number_by_then(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash another transaction may get the number of the one that was lost, and commit."""
    monkeypatch.setattr(transactions, "PAUSES", (0.0,))
    monkeypatch.setattr(OneTransaction, "_was_committed", lambda together, number: True)
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT")
    calls = iter((OperationalError(None, None, OSError("gone"), connection_invalidated=True), None))

    def work() -> int:
        if error := next(calls):
            raise error
        return 7

    assert OneTransaction(engine.connect).run(work) == 7
    engine.dispose()


def test_a_connection_that_broke_while_nobody_used_it_is_replaced_without_a_word(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transactions, "PAUSES", (0.0,))
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT")
    together = OneTransaction(engine.connect)

    def session() -> int:
        with together.connection() as connection:
            return int(connection.scalar(text("SELECT pg_backend_pid()")))

    before = together.run(session)
    with connect(database) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (before,))
    assert together.run(session) != before
    assert caplog.messages == []
    engine.dispose()
