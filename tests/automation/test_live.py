"""The live listener in a thread: it hears, waits, survives, publishes whole batches, and tells Dagster."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any

import dagster as dg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.catalogue import CHAIN, FUNDS
from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation import live
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.live import AlreadyListening, Listener
from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors import new_trades, requests
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.store.locks import days_locked, listener_lock
from knowdefeat_pipeline.store.memory import Memory
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import RANKING, stale_days

PATIENCE = 60.0  # seconds that nothing here needs
PARENTS = parents_of(build_defs())


class World:
    """A database with a listener's words about it, one by one, and a clock that a test may stop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.words: Queue[str] = Queue()
        self.stopped_at: datetime | None = None

    def now(self) -> datetime:
        return self.stopped_at or datetime.now(UTC)

    def hear(self, part: str) -> str:
        """Await the next words that contain `part`."""
        heard: list[str] = []
        while True:
            heard.append(self.words.get(timeout=PATIENCE))
            if part in heard[-1]:
                return heard[-1]
            assert len(heard) < 100, heard

    def close(self, bot: int = 1, trades: int = 1, back: timedelta = timedelta(minutes=1)) -> None:
        with connect(self.url) as connection:
            connection.execute(
                "INSERT INTO trades"
                " (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
                " SELECT %s, 'COIN', 'LONG', 'closed', at - interval '1 hour', at, 100 + n, 101 + n, 100"
                " FROM generate_series(1, %s) AS n, LATERAL (SELECT %s - interval '1 ms' * n AS at) AS t",
                (bot, trades, self.now() - back),
            )

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with connect(self.url) as connection:
            return connection.execute(statement).fetchall()

    def ranked(self) -> list[tuple[int, int]]:
        """(bot, lifetime trades) of the last day's ranking."""
        return self.ask(
            "SELECT r.bot_id, m.lifetime_trades FROM bot_rankings AS r"
            " JOIN bot_metrics AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')"
            " WHERE r.day = (SELECT max(day) FROM bot_rankings) ORDER BY r.bot_id"
        )

    def is_up_to_date(self) -> bool:
        with connect(self.url) as connection:
            return not stale_days(connection, RANKING, self.now())

    def listener(self, stop: Callable[[], bool] = lambda: False) -> Listener:
        report = LiveReport(open_instance, PARENTS, seconds=0.1)
        return Listener(self.url, Calendar(), lambda connection: self.now(), self.words.put, report, stop)


@contextmanager
def listening(world: World) -> Iterator[None]:
    """A listener in a thread of its own, which is stopped at the end; its failure is ours."""
    stop = Event()
    listener = world.listener(stop.is_set)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            listener.run()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failure.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        world.hear("Listening for new trades")
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        if failure:
            raise failure[0]


@pytest.fixture
def world(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    monkeypatch.setattr(live, "CATCH_UP", 0.5)  # so that it stops soon
    monkeypatch.setattr(live, "RECONNECT", (0.1, 1.0))
    monkeypatch.setattr(live, "SPACING", 0.3)
    monkeypatch.setattr(new_trades, "LISTENING", 0.0)
    return World(database)


@pytest.mark.long
def test_a_trade_reaches_the_ranking_and_dagster_without_a_run(world: World) -> None:
    with listening(world):
        world.close()
        assert "1 trade, " in world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]
    assert world.is_up_to_date()
    with open_instance() as instance:
        assert instance.get_runs_count() == 0
        for asset in (*CHAIN, *FUNDS):
            assert instance.get_materialized_partitions(dg.AssetKey(asset)) == {f"{datetime.now(UTC):%Y-%m-%d}"}


@pytest.mark.long
def test_what_came_before_it_and_between_batches_is_taken_along(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []

    def refresh_locked(*arguments: Any) -> Any:
        begun.append(time.monotonic())
        return compute(*arguments)

    compute = live.refresh_locked
    monkeypatch.setattr(live, "refresh_locked", refresh_locked)
    world.close(bot=1, trades=3)
    with listening(world):
        world.hear("refreshed in")
        for _ in range(20):
            world.close(bot=2, trades=5)
        while not world.is_up_to_date():
            world.hear("refreshed in")
    assert world.ranked() == [(1, 3), (2, 100)]
    assert 2 <= len(begun) < 20
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) > 0.9 * live.SPACING


@pytest.mark.long
def test_a_late_trade_refreshes_its_day_and_those_after_it(world: World) -> None:
    for back in range(3):
        world.close(bot=1, back=timedelta(days=back, minutes=1))
    with listening(world):
        world.hear("refreshed in")
        world.close(bot=2, back=timedelta(days=1, minutes=2))
        world.hear("refreshed in")
    found = world.ask("SELECT bot_id, lifetime_trades FROM bot_metrics WHERE ticker = '*' ORDER BY day, bot_id")
    assert found == [(1, 1), (1, 2), (2, 1), (1, 3), (2, 1)]
    assert world.is_up_to_date()


@pytest.mark.long
def test_a_day_that_ended_is_refreshed_once_more(world: World) -> None:
    world.stopped_at = datetime(2025, 3, 10, 15, tzinfo=UTC)
    world.close()
    with listening(world):
        world.hear("2025-03-10 refreshed in")
        world.stopped_at = datetime(2025, 3, 11, 0, 0, 1, tzinfo=UTC)
        world.hear("0 trades, 2025-03-10 refreshed in")
    assert world.ask("SELECT DISTINCT as_of FROM bot_rankings") == [(datetime(2025, 3, 11, tzinfo=UTC),)]


def test_only_one_listens(world: World) -> None:
    with connect(world.url) as connection, listener_lock(connection), pytest.raises(AlreadyListening):
        world.listener().run()


@pytest.mark.long
def test_a_missed_notification_costs_only_latency(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHANNEL", "another_channel")
    with listening(world):
        world.close()
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]


@pytest.mark.long
def test_it_comes_back_when_the_database_does_and_remembers_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories: list[Memory] = []

    def remember(url: str) -> Memory:
        memories.append(Memory(url))
        return memories[-1]

    monkeypatch.setattr(live, "Memory", remember)
    with listening(world):
        world.close()
        world.hear("refreshed in")
        with connect(world.url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        world.hear("Trying again in 0.1 s")
        world.hear("Listening for new trades")
        world.close(bot=2)
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1), (2, 1)]
    assert world.is_up_to_date()
    assert [memory.trade_rows.table.num_rows for memory in memories if memory.trade_rows.table] == [1, 2]


def test_the_whole_reason_is_told_why_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Event()

    def away(url: str) -> None:
        stop.set()
        raise DatabaseUnreachable("The database cannot be opened:\nno pg_hba.conf entry\nCheck the address.")

    monkeypatch.setattr(live, "connect", away)
    world.listener(stop.is_set).run()
    assert world.words.get_nowait() == (
        "The database cannot be opened:\nno pg_hba.conf entry\nCheck the address.\nTrying again in 0.1 s."
    )


@pytest.mark.long
def test_it_comes_back_when_a_bulk_read_breaks(world: World) -> None:
    with connect(world.url) as holder, listening(world):
        with holder.transaction():
            holder.execute("LOCK TABLE bot_months")  # which is read in bulk
            world.close()
            deadline = time.monotonic() + PATIENCE
            while world.words.empty():  # a connection that was kept from an earlier read is replaced without a word
                world.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                assert time.monotonic() < deadline
            world.hear("Trying again in 0.1 s")
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]


@pytest.mark.long
def test_what_a_run_computed_while_it_waited_for_the_days_is_not_computed_again(world: World) -> None:
    world.stopped_at = datetime.now(UTC)
    world.close()
    listener, day = world.listener(), world.now().date()
    with open_session(world.url) as waiting, open_session(world.url) as run:
        found = listener._look(waiting)
        assert found.days == (day,)
        thread = Thread(target=listener._compute, args=(waiting, found))
        with days_locked(run.connection, day, day):
            thread.start()
            while not world.ask("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                assert thread.is_alive()
            refresh(run, day, day, world.now())
            computed = world.ask("SELECT asset, day, mark FROM refreshed_days ORDER BY mark")
        thread.join(PATIENCE)
        assert world.ask("SELECT asset, day, mark FROM refreshed_days ORDER BY mark") == computed
        world.close(back=timedelta(minutes=2))
        listener._compute(waiting, listener._look(waiting))
    assert world.ranked() == [(1, 2)]


@pytest.mark.long
def test_a_batch_that_fails_publishes_nothing_and_is_tried_later_and_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "FIRST_DELAY", timedelta(seconds=0.1))
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE variable_weights_rows RENAME TO elsewhere")
        with listening(world):
            world.close()
            told = world.hear("Looking again in 0.1 s")
            assert 'relation "variable_weights_rows" does not exist' in told
            assert "Nothing was published; the sensor new_trades takes over." in told
            assert world.ask("SELECT count(*) FROM bot_metrics") == [(0,)]  # which had been computed before it
            world.hear("Looking again in 0.2 s")
            connection.execute("ALTER TABLE elsewhere RENAME TO variable_weights_rows")
            world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]
    assert world.is_up_to_date()


@pytest.mark.long
def test_a_failing_check_is_shown_by_a_run_of_the_sensor(world: World) -> None:
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE trades DROP CONSTRAINT trades_source_key")
    with listening(world):
        world.close()
        assert "The check constraints_are_enforced on trades failed" in world.hear("Nothing was published")
        assert world.ask("SELECT count(*) FROM refreshed_days") == [(0,)]
        with open_instance() as instance:
            request = tick(world, instance)
            day = date.fromisoformat(request.tags["dagster/asset_partition_range_start"])
            definitions = build_defs({"database": DatabaseAt(url=world.url), "clock": Clock()})
            with pytest.raises(RunFailed, match="constraints_are_enforced"):
                refresh_days(definitions, instance, day, day, tags=request.tags)
            (record,) = instance.get_run_records()
            assert record.dagster_run.status == dg.DagsterRunStatus.FAILURE
            assert instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            assert not instance.get_materialized_partitions(dg.AssetKey("bot_metrics"))
        with connect(world.url) as connection:
            connection.execute("ALTER TABLE trades ADD CONSTRAINT trades_source_key UNIQUE (source, source_trade_id)")
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]


def tick(world: World, instance: dg.DagsterInstance) -> dg.RunRequest:
    """What the sensor asks for, once the time has passed that it leaves to the listener."""
    clock = StoppedClock(at=(world.now() + 2 * new_trades.LISTENER_GRACE).isoformat())
    resources = {"database": DatabaseAt(url=world.url), "clock": clock}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        request = new_trades.build(Calendar())(context)
    assert isinstance(request, dg.RunRequest)
    return request
