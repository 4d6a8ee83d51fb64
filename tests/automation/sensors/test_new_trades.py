"""The new-trade sensor tick by tick, on an instance in PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors import new_trades, requests
from knowdefeat_pipeline.automation.sensors.requests import ATTEMPTS, retry_delay
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.locks import days_locked, listener_lock
from knowdefeat_pipeline.store.staleness import Family, Staleness, stale_days

NOW = datetime(2025, 3, 10, 15, tzinfo=UTC)
TODAY = NOW.date()


class World:
    """A database, an instance over it, a clock that stands, and the days that a run may cover."""

    def __init__(self, url: str, instance: dg.DagsterInstance, now: datetime = NOW) -> None:
        self.url, self.instance, self.now, self.calendar = url, instance, now, Calendar()

    def close(self, exit_time: datetime, connection: psycopg.Connection | None = None, bot: int = 1) -> None:
        statement = (
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
            " notional) VALUES (%s, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)"
        )
        parameters = (bot, exit_time - timedelta(hours=1), exit_time)
        if connection:
            connection.execute(statement, parameters)
            return
        with connect(self.url) as own:
            own.execute(statement, parameters)

    def tick(self) -> dg.RunRequest | str:
        """What a tick asks for; the reason if it asks for nothing."""
        resources = {"database": DatabaseAt(url=self.url), "clock": StoppedClock(at=self.now.isoformat())}
        with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
            result = new_trades.build(self.calendar)(context)
        return result if isinstance(result, dg.RunRequest) else str(result.skip_message)

    def execute(self, request: dg.RunRequest) -> None:
        """The run that the daemon would launch."""
        tags = {**request.tags, "dagster/sensor_name": "new_trades", "dagster/run_key": request.run_key}
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        defs = build_defs({"database": DatabaseAt(url=self.url), "clock": StoppedClock(at=self.now.isoformat())})
        day = datetime.fromisoformat
        refresh_days(defs, self.instance, day(first).date(), day(last).date(), tags=tags)

    def trades_of(self, day: object = TODAY) -> int:
        with connect(self.url) as connection:
            row = connection.execute(
                "SELECT sum(trades) FROM bot_metrics WHERE day = %s AND ticker = '*'", (day,)
            ).fetchone()
        return row[0] or 0


@pytest.fixture
def world(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    monkeypatch.setattr(new_trades, "LISTENING", 0.0)
    with open_instance() as instance:
        yield World(database, instance)


def days(request: dg.RunRequest | str) -> tuple[str, str]:
    assert isinstance(request, dg.RunRequest), request
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def test_skip_fire_skip(world: World) -> None:
    assert world.tick() == "Up to date: all 0 computed days include every recorded change."
    world.close(NOW - timedelta(minutes=5))
    request = world.tick()
    assert days(request) == (str(TODAY), str(TODAY))
    world.execute(request)
    assert world.trades_of() == 1
    assert world.tick() == "Up to date: all 1 computed days include every recorded change."


def arrives_after_the_first_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trade that commits when a tick has just seen that there is none."""
    looks = iter([True])

    def look(connection: psycopg.Connection, family: Family, as_of: datetime, first_day: date) -> Staleness:
        found = stale_days(connection, family, as_of, first_day)
        if next(looks, False):
            world.close(NOW - timedelta(minutes=5))
        return found

    monkeypatch.setattr(new_trades, "stale_days", look)
    monkeypatch.setattr(new_trades, "LISTENING", 60.0)


def test_a_tick_hears_of_trades_that_arrive_while_it_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arrives_after_the_first_look(world, monkeypatch)
    assert days(world.tick()) == (str(TODAY), str(TODAY))


def test_a_tick_does_not_listen_beside_a_live_listener(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    arrives_after_the_first_look(world, monkeypatch)
    with connect(world.url) as connection, listener_lock(connection):
        assert world.tick() == "Up to date: all 0 computed days include every recorded change."


@pytest.mark.long
def test_a_failed_run_is_tried_again_under_a_fresh_key_later_and_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.close(NOW - timedelta(minutes=5))
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")  # a check that blocks the chain
    monkeypatch.setattr(requests, "FIRST_DELAY", timedelta(0))
    keys = []
    for attempt in range(ATTEMPTS):
        request = world.tick()
        assert isinstance(request, dg.RunRequest)
        assert request.tags["knowdefeat/attempt"] == str(attempt + 1)
        keys.append(request.run_key)
        with pytest.raises(RunFailed):
            world.execute(request)
    assert len(set(keys)) == ATTEMPTS
    assert f"Gave up after {ATTEMPTS} failed runs" in world.tick()
    # New trades are another batch: tried again, and it works once the cause is mended.
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE trades ADD CONSTRAINT trades_source_key UNIQUE (source, source_trade_id)")
    world.close(NOW - timedelta(minutes=4))
    request = world.tick()
    assert isinstance(request, dg.RunRequest)
    world.execute(request)
    assert world.trades_of() == 2
    assert world.tick().startswith("Up to date")


def test_after_a_failure_it_waits(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")
    with pytest.raises(RunFailed):
        world.execute(world.tick())
    reason = world.tick()
    assert "1 new trades; stale since" in reason
    assert "Trying again in" in reason
    assert [retry_delay(n).total_seconds() for n in (1, 2, 3, 7, 20)] == [5, 10, 20, 300, 300]


def test_a_run_in_flight_is_waited_for(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    tags = {"dagster/sensor_name": "new_trades"}
    job = build_defs().resolve_job_def("refresh")
    run = world.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert f"Waiting for run {run.run_id}" in world.tick()
    world.instance.report_run_failed(run)
    assert "Trying again in" in world.tick()


def test_a_refresh_under_way_elsewhere_is_waited_for(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    with connect(world.url) as holder, days_locked(holder, TODAY, TODAY):
        assert f"A refresh of {TODAY} is under way" in world.tick()
    assert isinstance(world.tick(), dg.RunRequest)


def test_fresh_trades_are_left_to_the_listener_and_old_ones_are_not(world: World) -> None:
    world.now = datetime.now(UTC)  # recorded_at is the server's
    world.close(world.now - timedelta(minutes=5))
    with connect(world.url) as connection, listener_lock(connection):
        world.now = datetime.now(UTC)
        assert "Left to the live listener" in world.tick()
        world.now += timedelta(seconds=30)
        request = world.tick()
    assert isinstance(request, dg.RunRequest)


@pytest.mark.long
def test_a_late_trade_refreshes_its_day_and_all_later_ones_in_one_run(world: World) -> None:
    for back in range(4):
        world.close(NOW - timedelta(days=back, minutes=5))
    request = world.tick()
    assert days(request) == (str(TODAY - timedelta(days=3)), str(TODAY))
    world.execute(request)
    assert [world.trades_of(TODAY - timedelta(days=back)) for back in range(4)] == [4, 3, 2, 1]
    world.close(NOW - timedelta(days=2, minutes=7), bot=2)
    request = world.tick()
    assert days(request) == (str(TODAY - timedelta(days=2)), str(TODAY))
    world.execute(request)
    assert [world.trades_of(TODAY - timedelta(days=back)) for back in range(4)] == [5, 4, 3, 1]


@pytest.mark.long
def test_an_out_of_order_commit_is_not_missed(world: World) -> None:
    with psycopg.connect(world.url) as slow:
        world.close(NOW - timedelta(minutes=9), slow, bot=2)
        world.close(NOW - timedelta(minutes=5))
        world.execute(world.tick())
        assert world.trades_of() == 1
        assert world.tick().startswith("Up to date")
        slow.commit()
    world.execute(world.tick())
    assert world.trades_of() == 2


def test_two_sensors_at_once_ask_for_the_same_batch(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    first, second = world.tick(), world.tick()
    assert isinstance(first, dg.RunRequest)
    assert first.run_key == second.run_key  # of which the daemon launches one
    world.execute(first)
    assert world.tick().startswith("Up to date")


def test_a_day_that_ended_is_refreshed_once_more(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    world.execute(world.tick())
    world.now = datetime.combine(TODAY + timedelta(days=1), datetime.min.time(), UTC)
    request = world.tick()
    assert days(request) == (str(TODAY), str(TODAY))
    assert request.tags["knowdefeat/batch"] == f"ranking/{TODAY}/{TODAY}/end of day"
    world.execute(request)
    assert world.tick().startswith("Up to date")


@pytest.mark.long
def test_trades_that_were_deleted_are_followed(world: World) -> None:
    for back in range(3):
        world.close(NOW - timedelta(days=back, minutes=5))
    world.execute(world.tick())
    with connect(world.url) as connection:
        connection.execute("DELETE FROM trades WHERE exit_time < %s", (NOW - timedelta(days=1),))
    request = world.tick()
    assert days(request) == (str(TODAY - timedelta(days=2)), str(TODAY))
    world.execute(request)
    assert world.trades_of() == 1
    assert world.tick().startswith("Up to date")


@pytest.mark.long
def test_a_run_killed_between_two_assets_leaves_its_work_pending(world: World) -> None:
    world.close(NOW - timedelta(minutes=5))
    request = world.tick()
    world.execute(request)
    world.close(NOW - timedelta(minutes=4))
    request = world.tick()
    with connect(world.url) as connection:  # the end of the chain cannot be written
        connection.execute("ALTER TABLE variable_weights_rows RENAME TO elsewhere")
        with pytest.raises(RunFailed, match="variable_weights"):
            world.execute(request)
        connection.execute("ALTER TABLE elsewhere RENAME TO variable_weights_rows")
    assert world.trades_of() == 2  # metrics are there, and yet
    reason = world.tick()
    assert f"{TODAY} to {TODAY}" in reason
    assert "Trying again in" in reason


@pytest.mark.long
def test_a_long_range_is_refreshed_piece_by_piece(world: World) -> None:
    world.calendar = Calendar(chunk_days=3)
    for back in (0, 6):
        world.close(NOW - timedelta(days=back, minutes=5))
    day = [str(TODAY - timedelta(days=back)) for back in range(7)]
    request = world.tick()
    assert days(request) == (day[6], day[4])
    world.execute(request)
    request = world.tick()
    world.execute(request)
    assert world.trades_of() == 2
    assert world.tick().startswith("Up to date")


def test_computed_days_before_the_first_one_are_told_of_and_no_run_fails_for_them(world: World) -> None:
    world.close(NOW - timedelta(days=3))
    world.execute(world.tick())
    world.calendar = Calendar(first_day=TODAY - timedelta(days=1))
    world.close(NOW - timedelta(days=3, minutes=5), bot=2)
    told = world.tick()
    assert "2025-03-07 lies before the first partition, 2025-03-09. Set KNOWDEFEAT_FIRST_DAY=2025-03-07" in told


def test_a_database_that_is_away_fails_the_tick(world: World) -> None:
    world.url = "postgresql://nobody:x@127.0.0.1:1/none"
    with pytest.raises(Exception, match="cannot be opened"):
        world.tick()
