"""The sensor that learns, tick by tick, on an instance in PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors import new_beliefs
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.learning_ledger import record_reset
from knowdefeat_pipeline.store.staleness import RANKING, settle, stale_days

NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
TODAY = NOW.date()


class World:
    """A database, an instance over it, and a clock that a test moves."""

    def __init__(self, url: str, instance: dg.DagsterInstance) -> None:
        self.url, self.instance, self.now = url, instance, NOW

    def close(self, exit_time: datetime) -> None:
        with connect(self.url) as connection:
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
                " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
                (exit_time - timedelta(hours=1), exit_time),
            )

    def run(self, job: str, first: date, last: date, **tags: str) -> None:
        clock = StoppedClock(at=self.now.isoformat())
        refresh_days(build_defs({"database": DatabaseAt(url=self.url), "clock": clock}), self.instance, first, last,
                     tags=tags, job=job)  # fmt: skip

    def tick(self) -> tuple[date, date] | str:
        """The days that a tick asks for; the reason if it asks for nothing. The run is executed."""
        request = self.ask()
        if isinstance(request, str):
            return request
        first, last = (
            date.fromisoformat(request.tags[f"dagster/asset_partition_range_{end}"]) for end in ("start", "end")
        )
        self.run("learn", first, last, **request.tags, **{"dagster/sensor_name": new_beliefs.NAME})
        return first, last

    def ask(self) -> dg.RunRequest | str:
        resources = {"database": DatabaseAt(url=self.url), "clock": StoppedClock(at=self.now.isoformat())}
        with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
            result = new_beliefs.build(Calendar())(context)
        return result if isinstance(result, dg.RunRequest) else str(result.skip_message)


@pytest.fixture
def world(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    with open_instance() as instance:
        yield World(database, instance)


@pytest.mark.long
def test_what_was_refreshed_is_learned_once(world: World) -> None:
    assert world.tick() == "Up to date: all 0 computed days include every recorded change."
    yesterday = TODAY - timedelta(days=1)
    world.close(NOW - timedelta(days=1))
    world.run("refresh", yesterday, TODAY)
    assert world.tick() == (yesterday, TODAY)
    settled = "Up to date: all 2 computed days include every recorded change."
    assert world.tick() == settled
    world.close(NOW + timedelta(minutes=1))
    world.now += timedelta(minutes=2)
    world.run("refresh", TODAY, TODAY)
    assert world.tick() == (TODAY, TODAY)
    world.close(NOW - timedelta(days=1, hours=2))  # late
    world.run("refresh", yesterday, TODAY)
    assert world.tick() == (yesterday, TODAY)
    assert world.tick() == settled


@pytest.mark.long
def test_what_the_ledger_and_the_market_say_is_learned(world: World) -> None:
    yesterday = TODAY - timedelta(days=1)
    world.close(NOW - timedelta(days=1))
    world.run("recompute", yesterday, TODAY)
    assert str(world.tick()).startswith("Up to date")
    with connect(world.url) as connection:
        record_reset(connection, None, "a fresh start")
    assert world.tick() == (TODAY, TODAY)
    with connect(world.url) as connection:
        connection.execute(
            "INSERT INTO market_regimes (day, ticker, timeframe, open_time, label) "
            "VALUES (%s, 'COIN', '1h', %s, 'TRENDING')",
            (yesterday, NOW - timedelta(days=1, hours=4)),
        )
    assert world.tick() == (yesterday, TODAY)
    with connect(world.url) as connection:
        changed = connection.execute("SELECT input FROM input_changes ORDER BY 1").fetchall()
        assert changed == [("capital",), ("ledger",), ("regimes",)]  # the first: estimated when the first trade came
        assert str(world.tick()).startswith("Up to date")
        # Once all have followed, and no run can be left that began before.
        connection.execute("ALTER TABLE input_changes DISABLE TRIGGER input_changes_recorded_here")  # no news
        connection.execute("UPDATE input_changes SET recorded_at = recorded_at - interval '25 hours'")
        settle(connection, stale_days(connection, RANKING, NOW))
        assert connection.execute("SELECT count(*) FROM input_changes").fetchone() == (0,)


@pytest.mark.long
def test_a_failed_run_leaves_its_work_and_waits(world: World) -> None:
    world.close(NOW - timedelta(hours=1))
    world.run("refresh", TODAY, TODAY)
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE strategy_weights RENAME TO mislaid")
    with pytest.raises(RunFailed, match="strategy_weights"):
        world.tick()
    assert "Trying again in" in str(world.tick())
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE mislaid RENAME TO strategy_weights")
    world.run("learn", TODAY, TODAY)
    assert str(world.tick()).startswith("Up to date")
