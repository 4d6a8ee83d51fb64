"""kill -9 of a run, of the live listener and of the database server at random instants, while trades keep arriving.

Afterwards every table equals a clean recomputation, bit for bit, no trade is lost or counted twice, nothing is stale and
every rule of the audit holds. Two modes: 200 trades a second (KNOWDEFEAT_KILLS kills of the three in turn, 6 by default),
and single trades, after which the server dies with what it had not written down yet (KNOWDEFEAT_SLOW_KILLS kills of the
server, 15 by default, and some of the others between them).
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.steps.audit import audit_days
from knowdefeat_pipeline.store.funds import save_settings
from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, stale_days
from tests.faults.clean import compute, computed, differing
from tests.faults.processes import kill_server

KILLS = int(os.environ.get("KNOWDEFEAT_KILLS", "6"))
SLOW_KILLS = int(os.environ.get("KNOWDEFEAT_SLOW_KILLS", "15"))
SEED = 3
KNOWDEFEAT = str(Path(sys.executable).parent / "knowdefeat")
PATIENCE = 120.0
BOTS = 7
INSERT = (
    "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time,"
    " entry_price, exit_price, notional) VALUES ('test', %s, %s, 'COIN', 'LONG', 'closed', %s, %s, 100, %s, 100)"
    " ON CONFLICT DO NOTHING"
)
LIFETIMES = (
    "SELECT coalesce(sum(lifetime_trades), 0) FROM bot_metrics"
    " WHERE ticker = '*' AND day = (SELECT max(day) FROM bot_metrics)"
)


class Bots:
    """Bots that close trades, some of them days late, and try again until each is acknowledged."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server, self.written = server, 0
        self._draw = random.Random(7)
        self._connection: psycopg.Connection | None = None

    def close_a_trade(self) -> None:
        """One more, on a server that is started if it does not run."""
        back = timedelta(days=self._draw.choice([0] * 19 + [1, 2, 3]), milliseconds=self.written)
        exit_time = datetime.now(UTC) - back
        row = (str(self.written), 1 + self.written % BOTS, exit_time - timedelta(hours=1), exit_time)
        price = 100 + self._draw.gauss(0, 3)
        while True:
            try:
                self._connection = self._connection or psycopg.connect(self.server.ensure_running(), autocommit=True)
                self._connection.execute(INSERT, (*row, price))
                break
            except psycopg.OperationalError:  # killed, or not up yet; whether it was recorded is not known
                self._connection = None
        self.written += 1

    def are_counted(self) -> bool:
        """Whether nothing is stale, as they do not trade; a trade that is then not counted is lost."""
        assert self._connection
        with self._connection.transaction():  # one snapshot: the listener may publish between two looks
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            if stale_days(self._connection, RANKING, datetime.now(UTC)):
                return False
            assert self._connection.execute(LIFETIMES).fetchall() == [(self.written,)]
        return True


@contextmanager
def many_trades(bots: Bots) -> Iterator[None]:
    """A trade every few milliseconds meanwhile."""
    stop = threading.Event()

    def trade() -> None:
        while not stop.wait(0.005):
            bots.close_a_trade()

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def a_neighbour(server: EmbeddedPostgres) -> Iterator[None]:
    """Somebody who writes all the time and does not wait for the disk, as Dagster's daemon does.

    What it wrote last is lost with the server, and the numbers of its transactions are given out again.
    """
    stop = threading.Event()

    def write() -> None:
        connection = None
        while not stop.wait(0.01):
            try:
                if connection:
                    connection.execute("INSERT INTO neighbour DEFAULT VALUES")
                elif url := server.find():
                    connection = psycopg.connect(url, autocommit=True)
                    connection.execute("SET synchronous_commit = off")
            except psycopg.OperationalError:
                connection = None

    with connect(server.ensure_running()) as connection:
        connection.execute("CREATE TABLE neighbour (number bigint GENERATED ALWAYS AS IDENTITY)")
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Listener:
    """`knowdefeat live` in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.log = home / "live.log"
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen([KNOWDEFEAT, "live"], stdout=log, stderr=log, start_new_session=True)

    def watch(self, seconds: float) -> None:
        """Let it run so long. Once it listens it lives on, whatever happens to the database."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            assert "Listening" not in self.log.read_text(), self.log.read_text()

    def catch_up(self, bots: Bots) -> None:
        """Wait until it listens and nothing is stale; every trade that was acknowledged is then counted."""
        deadline = time.monotonic() + PATIENCE
        while not ("Listening" in self.log.read_text() and bots.are_counted()):
            self.watch(0.1)
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def begin_again(self) -> None:
        self.kill()
        self.process = self._begin()


@contextmanager
def listener(home: Path) -> Iterator[Listener]:
    """A listener that is killed at the end."""
    started = Listener(home)
    try:
        yield started
    finally:
        started.kill()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that every process of the test knows."""
    monkeypatch.delenv("KNOWDEFEAT_DATABASE_URL", raising=False)
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as folder:
        monkeypatch.setenv("KNOWDEFEAT_HOME", folder)
        monkeypatch.setenv("KNOWDEFEAT_LIVE_REPORT_SECONDS", "1")  # so that kills meet reports too
        yield Path(folder)


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be killed, and funds to divide."""
    server = EmbeddedPostgres(home)
    migrations.upgrade(server.ensure_running())
    with connect(server.ensure_running()) as connection:
        save_settings(connection, FundSettings("USD", 100_000), "test", "funds to divide")
    yield server
    server.stop()


def kill_run(after: float) -> None:
    """Begin a run over the days that trades arrive for, and kill it."""
    first = (datetime.now(UTC) - timedelta(days=4)).date()
    command = [KNOWDEFEAT, "backfill", "--from", str(first), "--to", str(datetime.now(UTC).date())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()


def hold_against_a_clean_computation(bots: Bots, home: Path) -> None:
    """Let a listener do what is left; then nothing may be stale, lost, doubled or other than a clean computation."""
    with listener(home) as live:
        live.catch_up(bots)
    url = bots.server.ensure_running()
    with connect(url) as connection:
        stale = stale_days(connection, BELIEFS, datetime.now(UTC))
    if stale:  # what the sensor of beliefs does
        compute(url, "learn", stale.first, stale.last, datetime.now(UTC))
    first, last, as_of = computed(url)
    with connect(url) as connection:
        assert not stale_days(connection, BELIEFS, datetime.now(UTC))
        assert not stale_days(connection, RANKING, as_of)
        broken = [rule.name for rule, result in audit_days(connection, first, last) if not result.passed]
        recorded = connection.execute("SELECT count(*), count(DISTINCT source_trade_id) FROM trades").fetchall()
    assert broken == []
    assert recorded == [(bots.written, bots.written)]
    assert differing(url) == ()


@pytest.mark.long
def test_whatever_is_killed_the_tables_come_out_as_if_nothing_had_been(server: EmbeddedPostgres, home: Path) -> None:
    draw, bots, killed = random.Random(SEED), Bots(server), Counter[str]()
    with many_trades(bots):
        for number in range(KILLS):
            victim = ("live", "server", "run")[number % 3]
            with listener(home) as live:
                live.watch(draw.uniform(1.5, 4.5))
                if victim == "server":
                    kill_server(server)
                    live.watch(draw.uniform(0.0, 3.0))
                if victim == "run":
                    kill_run(draw.uniform(0.5, 4.0))
            killed.update({victim, "live"})
    hold_against_a_clean_computation(bots, home)
    print(f"{bots.written:,} trades at 200 a second; killed with seed {SEED}: {dict(killed)}")


@pytest.mark.long
def test_a_server_that_dies_after_a_single_trade_takes_none_with_it(server: EmbeddedPostgres, home: Path) -> None:
    draw, bots, killed = random.Random(SEED), Bots(server), Counter[str]()
    with a_neighbour(server), listener(home) as live:
        for number in range(1, SLOW_KILLS + 1):
            live.watch(draw.uniform(0.3, 1.5))
            bots.close_a_trade()
            live.watch(draw.triangular(0.1, 1.3, 0.2))  # most are while it refreshes, or has just done so
            kill_server(server)
            bots.close_a_trade()  # at once, with a number of a transaction that the server has forgotten
            live.catch_up(bots)
            killed["server"] += 1
            if number % 5 == 0:
                bots.close_a_trade()
                kill_run(draw.uniform(0.5, 4.0))
                bots.close_a_trade()
                live.watch(draw.uniform(0.1, 1.3))
                live.begin_again()
                live.catch_up(bots)
                killed.update({"run", "live"})
    hold_against_a_clean_computation(bots, home)
    print(f"{bots.written:,} single trades; killed with seed {SEED}: {dict(killed)}")
