"""The staging: each shard once, nothing left behind, and nobody adds to a plan that is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.scale import staging
from knowdefeat_pipeline.scale.staging import Staging, StagingLost

STAGED = ("staged_plans", "staged_shards", "staged_parts")
Compute = Callable[[psycopg.Connection], Iterator[tuple[str, Any]]]


def followed(bots: list[int]) -> pa.Table:
    instant = pa.array([0] * len(bots), pa.timestamp("us", "UTC"))
    return pa.table({"as_of": instant, "bot_id": pa.array(bots, pa.int32()), "volatility": [0.1] * len(bots)})


def leaving(*bots: int) -> Compute:
    def compute(_: psycopg.Connection) -> Iterator[tuple[str, Any]]:
        yield "followed", followed([*bots])
        yield "", {"rows": len(bots)}

    return compute


def never(_: psycopg.Connection) -> Iterator[tuple[str, Any]]:
    raise AssertionError("a shard that is there is not computed again")
    yield


def counts(connection: psycopg.Connection) -> list[int]:
    return [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in STAGED]  # type: ignore[index]


def bots(staged: Staging) -> list[int]:
    """Those of which shards have left rows, in the order in which they are read."""
    return [bot for table in staged.read("followed") for bot in table["bot_id"].to_pylist()]


def test_a_shard_is_written_once_and_all_of_it_is_read(database: str) -> None:
    with staging.begun(database) as staged:
        assert staging.write(database, staged.plan, 1, leaving(3, 1)) == {"rows": 2}
        assert staging.write(database, staged.plan, 1, never) == {"rows": 2}
        with pytest.raises(StagingLost, match="Of 2 shards 1 are staged"):
            staged.require(2)
        assert staging.write(database, staged.plan, 0, leaving(2)) == {"rows": 1}
        staged.require(2)
        assert bots(staged) == [2, 3, 1]
    with connect(database) as connection:
        assert sum(counts(connection)) == 0


def test_who_writes_the_same_shard_at_once_waits_and_finds_it(database: str) -> None:
    writing, go_on = Event(), Event()

    def slow(_: psycopg.Connection) -> Iterator[tuple[str, Any]]:
        yield "followed", followed([1])
        writing.set()
        assert go_on.wait(30)
        yield "", {"rows": 1}

    with staging.begun(database) as staged, ThreadPoolExecutor(2) as pool, connect(database) as connection:
        first = pool.submit(staging.write, database, staged.plan, 0, slow)
        assert writing.wait(30)
        second = pool.submit(staging.write, database, staged.plan, 0, never)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO staged_shards%'"
        while connection.execute(waiting).fetchone() != (1,):
            assert not second.done()
        go_on.set()
        assert first.result(30) == second.result(30) == {"rows": 1}
        assert bots(staged) == [1]


def test_a_shard_that_fails_leaves_nothing_and_can_be_written_again(database: str) -> None:
    def fails(_: psycopg.Connection) -> Iterator[tuple[str, Any]]:
        yield "followed", followed([1])
        raise ZeroDivisionError

    with staging.begun(database) as staged:
        with pytest.raises(ZeroDivisionError):
            staging.write(database, staged.plan, 0, fails)
        assert staging.write(database, staged.plan, 0, leaving(1)) == {"rows": 1}
        assert bots(staged) == [1]


def test_what_a_plan_left_whose_session_ended_is_swept_and_that_of_others_stays(database: str) -> None:
    with staging.begun(database) as living, connect(database) as connection:
        staging.write(database, living.plan, 0, leaving(7))
        with connect(database) as ends:
            context = staging.begun(database)
            over = context.__enter__()
            staging.write(database, over.plan, 0, leaving(8, 9))
            ends.execute("SELECT pg_terminate_backend(%s, 5000)", (over.connection.info.backend_pid,))
        assert staging.sweep(connection) == [over.plan]
        assert staging.sweep(connection) == []
        assert bots(living) == [7]
        assert counts(connection) == [1, 1, 1]
        with pytest.raises(StagingLost, match="is over, or not in the database"):
            staging.write(database, over.plan, 1, leaving(10))
        context.__exit__(None, None, None)  # its session is gone, and that is no failure


def test_a_worker_that_still_writes_is_left_to_the_next_sweep(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_PATIENCE", "100ms")
    with connect(database) as worker, connect(database) as connection:
        with staging.begun(database) as staged:
            worker.autocommit = False
            worker.execute("INSERT INTO staged_shards VALUES (%s, 0, '{}')", (staged.plan,))
        assert counts(connection) == [1, 0, 0]
        worker.rollback()
        assert staging.sweep(connection) == [staged.plan]
        assert sum(counts(connection)) == 0


def test_parts_are_read_as_they_were_written_whatever_their_size(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "PART_ROWS", 3)
    table = pa.table(
        {
            "day": pa.array([None, *range(6)], pa.date32()),
            "at": pa.array([0, None, *range(5)], pa.timestamp("us", "UTC")),
            "name": ["", None, "é", "*", "x", "y", "z"],
            "value": [0.1, None, float("nan"), float("inf"), -0.0, 5e-324, 1e308],
        }
    )

    def compute(_: psycopg.Connection) -> Iterator[tuple[str, Any]]:
        yield "one", table
        yield "several", iter([table.slice(0, 2), table.slice(2, 0), table.slice(2)])
        yield "none", table.slice(0, 0)
        yield "", {}

    with staging.begun(database) as staged:
        staging.write(database, staged.plan, 0, compute)
        found = {name: [*staged.read(name)] for name in ("one", "several", "none", "another")}
    assert {name: [*map(len, parts)] for name, parts in found.items()} == {
        "one": [3, 3, 1], "several": [2, 0, 3, 2], "none": [0], "another": [],
    }  # fmt: skip
    for name in ("one", "several"):
        whole = pa.concat_tables(found[name])
        assert whole.schema == table.schema
        assert repr(whole.to_pylist()) == repr(table.to_pylist())  # as text, in which NaN is NaN and -0.0 is not 0.0
    assert found["none"][0].schema == table.schema
