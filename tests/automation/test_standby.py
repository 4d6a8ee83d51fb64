"""Two listeners over one database: one leads, and the other after it, whatever ended the first."""

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from knowdefeat_pipeline.automation.pulse import Pulse, told_at
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.locks import listener_holders
from tests.automation.test_stopped_listener import CLOSE, counted, marks
from tests.faults.processes import Process

TAKES_OVER = 10.0  # seconds, promised by docs/deploy.md
# `knowdefeat live --standby` as it is; with the argument `wait` its first batch stops before the end of its transaction.
STANDBY = """
import sys
from knowdefeat_pipeline.steps import chain

compute = chain.compute_allocations

def wait(*arguments):
    found = compute(*arguments)
    chain.compute_allocations = compute
    print("All but the commit is done.", flush=True)
    sys.stdin.readline()
    return found

if "wait" in sys.argv:
    chain.compute_allocations = wait
sys.argv = ["knowdefeat", "live", "--standby"]
from knowdefeat_pipeline.cli.app import main
main()
"""


@pytest.fixture
def empty(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A connection to a database without trades, which the processes find in their environment."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    with connect(database) as connection:
        yield connection


@contextmanager
def leader_and_standby(*arguments: str) -> Iterator[tuple[Process, Process]]:
    """Both, the second when it stands by for the first."""
    with Process(STANDBY, *arguments) as leader:
        leader.hear("Listening for new trades")
        with Process(STANDBY) as standby:
            assert f"(knowdefeat {leader.process.pid} on " in standby.hear("Standing by. The live listener is session")
            yield leader, standby


@pytest.mark.long
def test_a_standby_leads_at_once_when_the_leader_ends_or_is_killed(empty: psycopg.Connection) -> None:
    with leader_and_standby() as (leader, second):
        leader.process.terminate()
        second.hear("Listening for new trades")
        assert leader.end()[0] == 0
        with Process(STANDBY) as third:
            third.hear("Standing by.")
            began = time.monotonic()
            second.process.kill()
            third.hear("Listening for new trades")
            assert time.monotonic() - began < TAKES_OVER / 2
            empty.execute(CLOSE)
            third.hear("1 trade, ")
    assert counted(empty) == [(1, 1)]


@pytest.mark.long
def test_a_leader_that_is_stopped_within_a_batch_commits_nothing_once_it_goes_on_and_stands_by(
    empty: psycopg.Connection,
) -> None:
    with leader_and_standby("wait") as (leader, standby):
        empty.execute(CLOSE)
        leader.hear("All but the commit is done.")
        assert counted(empty) == []
        began = time.monotonic()
        leader.process.send_signal(signal.SIGSTOP)
        standby.hear("Listening for new trades")
        assert time.monotonic() - began < TAKES_OVER
        standby.hear("1 trade, ")
        done = marks(empty)
        assert counted(empty) == [(1, 1)]
        assert leader.process.stdin is not None
        leader.process.stdin.write("\n")  # it shall commit
        leader.process.stdin.flush()
        leader.go_on()
        leader.hear("This process did not renew its lease for ")
        leader.hear(f"Standing by. The live listener is session {listener_holders(empty)[0].session} ")
        assert (marks(empty), counted(empty)) == (done, [(1, 1)])
        empty.execute(CLOSE)
        standby.hear("1 trade, ")
        assert counted(empty) == [(2, 2)]


def test_it_is_told_whether_a_listener_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse, clock = Pulse(), [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pulse.beat("listening")
    with told_at(pulse, 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert json.load(answer) == {"state": "listening", "seconds": 0.0}
        clock[0] += 15 * 60
        with pytest.raises(urllib.error.HTTPError) as late:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        assert late.value.code == 503
        assert json.load(late.value) == {"state": "listening", "seconds": 900.0}
