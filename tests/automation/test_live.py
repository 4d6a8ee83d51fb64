"""The live listener in a thread: it hears, waits, survives, and runs the very job that the sensor runs."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Event, Thread

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import Clock
from knowdefeat_pipeline.automation import live
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.live import LIVE_TAG, AlreadyListening, Listener, live_definitions
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.staleness import Settled, listener_lock, pending_days

PATIENCE = 60.0  # seconds that nothing here needs


class World:
    """A database with a listener's words about it, one by one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.words: Queue[str] = Queue()

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
                (bot, trades, datetime.now(UTC) - back),
            )

    def ranked(self) -> list[tuple[int, int]]:
        """(bot, lifetime trades) of the running day's ranking."""
        with connect(self.url) as connection:
            return connection.execute(
                "SELECT r.bot_id, m.lifetime_trades FROM bot_rankings AS r"
                " JOIN bot_metrics AS m ON (m.day, m.bot_id, m.ticker) = (r.day, r.bot_id, '*')"
                " WHERE r.day = (SELECT max(day) FROM bot_rankings) ORDER BY r.bot_id"
            ).fetchall()

    def settled(self) -> bool:
        with connect(self.url) as connection:
            return isinstance(pending_days(connection, datetime.now(UTC)), Settled)


@contextmanager
def listening(world: World) -> Iterator[Listener]:
    """A listener in a thread of its own, which is stopped at the end; its failure is ours."""
    stop = Event()
    listener = Listener(world.url, live_definitions(world.url, build_defs), world.words.put, Clock(), stop.is_set)
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
        yield listener
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
    return World(database)


def live_runs() -> list[dg.RunRecord]:
    with open_instance() as instance:
        return list(instance.get_run_records(dg.RunsFilter(tags={LIVE_TAG: "true"})))


def test_a_trade_reaches_the_ranking_by_a_run_that_the_ui_shows(world: World) -> None:
    with listening(world):
        world.close()
        assert "1 trades" in world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]
    assert world.settled()
    (record,) = live_runs()
    assert record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
    assert record.dagster_run.tags["dagster/asset_partition_range_end"] == f"{datetime.now(UTC):%Y-%m-%d}"


def test_what_came_before_it_and_between_runs_is_taken_along_at_most_one_run_a_second(world: World) -> None:
    world.close(bot=1, trades=3)
    with listening(world):
        world.hear("refreshed in")
        for _ in range(20):
            world.close(bot=2, trades=5)
        while not world.settled():
            world.hear("refreshed in")
    assert world.ranked() == [(1, 3), (2, 100)]
    starts = sorted(record.start_time for record in live_runs())
    assert 2 <= len(starts) < 20
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) > 0.9


def test_only_one_listens(world: World) -> None:
    with connect(world.url) as connection, listener_lock(connection), pytest.raises(AlreadyListening):
        Listener(world.url, live_definitions(world.url, build_defs), world.words.put, Clock()).run()


def test_a_missed_notification_costs_only_latency(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHANNEL", "another_channel")
    with listening(world):
        world.close()
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]


def lose_connections(world: World) -> None:
    with connect(world.url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def refuse_connections(world: World) -> Callable[[], None]:
    """Nobody may connect until the returned function is called."""
    parts = psycopg.conninfo.conninfo_to_dict(world.url)
    elsewhere = psycopg.conninfo.make_conninfo(world.url, dbname="postgres")

    def allow(yes: bool) -> None:
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    psycopg.sql.Identifier(str(parts["dbname"])), psycopg.sql.Literal(yes)
                )
            )

    allow(False)
    return lambda: allow(True)


def test_it_comes_back_when_the_database_does(world: World) -> None:
    with listening(world):
        world.close()
        world.hear("refreshed in")
        lose_connections(world)
        world.hear("Listening for new trades")
        world.close(bot=2)
        world.hear("refreshed in")
    assert world.ranked() == [(1, 1), (2, 1)]
    assert world.settled()


def test_a_failing_run_is_told_and_tried_again(world: World) -> None:
    with connect(world.url) as connection:
        connection.execute("ALTER TABLE variable_weights RENAME TO elsewhere")
        with listening(world):
            world.close()
            told = world.hear("Trying again in 5 s")
            assert "variable_weights" in told
            connection.execute("ALTER TABLE elsewhere RENAME TO variable_weights")
            world.hear("refreshed in")
    assert world.ranked() == [(1, 1)]
    assert sorted(record.dagster_run.status.value for record in live_runs()) == ["FAILURE", "SUCCESS"]
