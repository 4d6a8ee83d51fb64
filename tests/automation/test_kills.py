"""kill -9 of a run, of the live listener and of the database server at random instants, while trades keep arriving.

Afterwards every table equals a clean recomputation, bit for bit, and no trade is lost or counted twice.
KNOWDEFEAT_KILLS sets the number of kills (6 by default).
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.store.staleness import Pending, Settled, pending_beliefs, pending_days

KILLS = int(os.environ.get("KNOWDEFEAT_KILLS", "6"))
KNOWDEFEAT = str(Path(sys.executable).parent / "knowdefeat")
PATIENCE = 120.0
BOTS = 7
RESULTS = [name for name in TABLES if name not in ("fund_settings", "bot_events")]  # those are decisions
FOLDED = ("bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state")
INSERT = (
    "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time,"
    " entry_price, exit_price, notional) VALUES ('test', %s, %s, 'COIN', 'LONG', 'closed', %s, %s, 100, %s, 100)"
    " ON CONFLICT (source, source_trade_id) DO NOTHING"
)


class Writer(threading.Thread):
    """Bots that close a trade every few milliseconds, some of them days late, and try again until it is acknowledged."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        super().__init__()
        self.server, self.written, self.stop = server, 0, threading.Event()

    def run(self) -> None:
        draw = random.Random(7)
        connection = None
        while not self.stop.wait(0.005):
            exit_time = datetime.now(UTC) - timedelta(days=draw.choice([0] * 19 + [1, 2, 3]), milliseconds=self.written)
            row = (str(self.written), 1 + self.written % BOTS, exit_time - timedelta(hours=1), exit_time)
            while True:
                try:
                    connection = connection or psycopg.connect(self.server.ensure_running(), autocommit=True)
                    connection.execute(INSERT, (*row, 100 + draw.gauss(0, 3)))
                    break
                except psycopg.OperationalError:  # killed, or not up yet; whether it was recorded is not known
                    connection = None
            self.written += 1
        if connection:
            connection.close()


class Listener:
    """`knowdefeat live` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.log = home / "live.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([KNOWDEFEAT, "live"], stdout=log, stderr=log, start_new_session=True)

    def watch(self, seconds: float) -> None:
        """Let it run so long. Once it listens it lives on, whatever happens to the database."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            assert "Listening" not in self.log.read_text(), self.log.read_text()


@contextmanager
def listener(home: Path) -> Iterator[Listener]:
    """A listener that is killed at the end."""
    started = Listener(home)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that every process of the test knows."""
    monkeypatch.delenv("KNOWDEFEAT_DATABASE_URL", raising=False)
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as folder:
        monkeypatch.setenv("KNOWDEFEAT_HOME", folder)
        yield Path(folder)


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be killed."""
    server = EmbeddedPostgres(home)
    migrations.upgrade(server.ensure_running())
    yield server
    server.stop()


def kill_server(server: EmbeddedPostgres) -> None:
    pid = server.status().pid
    assert pid
    os.kill(pid, signal.SIGKILL)


def kill_run(after: float) -> None:
    """Begin a run over the days that trades arrive for, and kill it."""
    first = (datetime.now(UTC) - timedelta(days=4)).date()
    command = [KNOWDEFEAT, "backfill", "--from", str(first), "--to", str(datetime.now(UTC).date())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()


def tables(url: str) -> dict[str, list[tuple]]:
    """All results of the days that were refreshed: a run that is killed may leave some of a day that nothing touched."""
    found = {}
    with connect(url) as connection:
        refreshed = "SELECT min(day) FROM refreshed_days WHERE asset = 'variable_weights'"
        for name in RESULTS:
            rows = connection.execute(f"SELECT * FROM {name} WHERE day >= ({refreshed})").fetchall()
            found[name] = sorted(rows, key=repr)
    return found


def recomputed(url: str) -> dict[str, list[tuple]]:
    """What a clean computation of the same days, at the same instants, makes of the same trades."""
    with connect(url) as connection:
        marks = connection.execute(
            "SELECT min(day), max(day), max(as_of) FROM refreshed_days WHERE asset = 'variable_weights'"
        ).fetchall()
        ((first, last, now),) = marks
        connection.execute(f"TRUNCATE {', '.join(RESULTS)}, {', '.join(FOLDED)}, refreshed_days")
    compute(url, "recompute", first, last, now)
    return tables(url)


def compute(url: str, job: str, first: date, last: date, now: datetime) -> None:
    defs = build_defs({"database": Database(url=url), "clock": Clock(frozen_at=now.isoformat())})
    with open_instance() as instance:
        refresh_days(defs, instance, first, last, job=job)


def settled(url: str) -> bool:
    with connect(url) as connection:
        return isinstance(pending_days(connection, datetime.now(UTC)), Settled)


def test_whatever_is_killed_the_tables_come_out_as_if_nothing_had_been(server: EmbeddedPostgres, home: Path) -> None:
    draw = random.Random(3)
    writer = Writer(server)
    writer.start()
    try:
        for number in range(KILLS):
            victim = ("live", "server", "run")[number % 3]
            with listener(home) as live:
                live.watch(draw.uniform(1.5, 4.5))
                if victim == "server":
                    kill_server(server)
                    live.watch(draw.uniform(0.0, 3.0))
                if victim == "run":
                    kill_run(draw.uniform(0.5, 4.0))
    finally:
        writer.stop.set()
        writer.join()
    with listener(home) as live:
        url = server.ensure_running()
        waited = datetime.now(UTC) + timedelta(seconds=PATIENCE)
        while not settled(url):
            live.watch(0.2)
            assert live.process.poll() is None, live.log.read_text()
            assert datetime.now(UTC) < waited, live.log.read_text()
    with connect(url) as connection:
        lag = pending_beliefs(connection)
    if isinstance(lag, Pending):  # what the sensor of beliefs does
        compute(url, "learn", lag.first, lag.last, datetime.now(UTC))
    found = tables(url)
    today: date = max(row[0] for row in found["bot_rankings"])
    with connect(url) as connection:
        counts = connection.execute(
            "SELECT sum(lifetime_trades) FROM bot_metrics WHERE day = %s AND ticker = '*'", (today,)
        ).fetchall()
        recorded = connection.execute("SELECT count(*), count(DISTINCT source_trade_id) FROM trades").fetchall()
    assert recorded == [(writer.written, writer.written)]
    assert counts == [(writer.written,)]
    assert recomputed(url) == found
