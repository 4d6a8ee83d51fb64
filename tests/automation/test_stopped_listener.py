"""SIGSTOP of the live listener: its trades are counted by the sensor's run, and it commits nothing once it goes on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.automation.sensors import new_trades
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.leases import dismiss
from knowdefeat_pipeline.store.locks import day_holders, listener_expired_at
from knowdefeat_pipeline.store.staleness import RANKING, stale_days
from tests.faults.processes import Process

CLOSE = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " SELECT 1, 'COIN', 'LONG', 'closed', now - interval '1 hour', now, 100, 101, 100 FROM clock_timestamp() AS now"
)
# `knowdefeat live` with a short lease. With the argument `wait` its first batch stops before the end of its transaction:
# it says so, and goes on once it is given a line.
LIVE = """
import sys
from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.postgres import leases

leases.LISTENER_LEASE, leases.RENEWALS = 1.0, 10
compute = chain.compute_allocations

def wait(*arguments):
    found = compute(*arguments)
    chain.compute_allocations = compute
    print("All but the commit is done.", flush=True)
    sys.stdin.readline()
    return found

if "wait" in sys.argv:
    chain.compute_allocations = wait
sys.argv = ["knowdefeat", "live"]
from knowdefeat_pipeline.cli.app import main
main()
"""


class Live(Process):
    """The process, and what it says."""

    def finish(self) -> None:
        """End the wait within the batch."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self, connection: psycopg.Connection) -> None:
        """SIGSTOP, until its lease has ended."""
        self.process.send_signal(signal.SIGSTOP)
        while listener_expired_at(connection) is None:
            assert self.process.poll() is None


@contextmanager
def live(*arguments: str) -> Iterator[Live]:
    """A listener that is killed at the end."""
    with Live(LIVE, *arguments) as started:
        started.hear("Listening for new trades")
        yield started


@pytest.fixture
def empty(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database without trades, which is also Dagster's."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    monkeypatch.setattr(new_trades, "LISTENING", 0.0)
    return database


def tick_and_run(url: str, instance: dg.DagsterInstance) -> None:
    """The sensor asks for a run, and the run does its work."""
    resources = {"database": DatabaseAt(url=url), "clock": Clock()}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        request = new_trades.build(Calendar())(context)
    assert isinstance(request, dg.RunRequest), request
    first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    refresh_days(
        build_defs(resources), instance, date.fromisoformat(first), date.fromisoformat(last), tags=request.tags
    )


def counted(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """(trades, lifetime trades) of the bot on the last day."""
    return connection.execute(
        "SELECT trades, lifetime_trades FROM bot_metrics WHERE ticker = '*' ORDER BY day DESC LIMIT 1"
    ).fetchall()


def marks(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT asset, day, mark FROM refreshed_days ORDER BY asset, day").fetchall()


@pytest.mark.long
def test_a_listener_that_is_stopped_while_it_waits(empty: str) -> None:
    with connect(empty) as connection, live() as listener, dg.instance_for_test() as instance:
        connection.execute(CLOSE)
        listener.hear("refreshed in")
        listener.stop(connection)
        connection.execute(CLOSE)
        tick_and_run(empty, instance)
        assert counted(connection) == [(2, 2)]
        done = marks(connection)
        listener.go_on()
        listener.hear("This process did not renew its lease for ")
        listener.hear("Trying again in 1 s.")
        listener.hear("Listening for new trades")
        assert marks(connection) == done
        connection.execute(CLOSE)
        listener.hear("refreshed in")
        assert counted(connection) == [(3, 3)]
        assert not stale_days(connection, RANKING, clock.now(connection))


@pytest.mark.long
def test_a_listener_that_is_stopped_within_a_batch_commits_nothing_once_it_goes_on(empty: str) -> None:
    with connect(empty) as connection, live("wait") as listener, dg.instance_for_test() as instance:
        connection.execute(CLOSE)
        listener.hear("All but the commit is done.")
        assert not dismiss(connection)  # it computes for long, and lives
        listener.stop(connection)
        today = clock.now(connection).date()
        assert len(day_holders(connection, today, today)) == 1
        assert counted(connection) == []
        connection.execute(CLOSE)
        tick_and_run(empty, instance)
        assert counted(connection) == [(2, 2)]
        done = marks(connection)
        listener.finish()
        listener.go_on()
        listener.hear("This process did not renew its lease for ")
        listener.hear("Trying again in 1 s.")
        listener.hear("Listening for new trades")
        assert marks(connection) == done
        assert counted(connection) == [(2, 2)]
        connection.execute(CLOSE)
        listener.hear("refreshed in")
        assert counted(connection) == [(3, 3)]
        assert not stale_days(connection, RANKING, clock.now(connection))
