"""`knowdefeat up` when things go wrong; that it serves and stops is tested in a browser (tests/e2e)."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from knowdefeat_pipeline.cli.commands import up
from knowdefeat_pipeline.cli.options import CommandError

STUBBORN = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready\\n", end="", flush=True)  # in one write: two of them share the log
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home, and the signal handlers as they were before."""
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_taken_port_is_refused_before_anything_starts(home: Path, taken_port: int) -> None:
    with pytest.raises(CommandError, match=f"Port {taken_port} is in use"):
        up.up(port=taken_port, host="127.0.0.1")


def test_without_a_port_the_first_free_one_is_taken(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "FIRST_PORT", taken_port)
    monkeypatch.setattr(up, "LAST_PORT", taken_port + 50)
    assert taken_port < up._free_port("127.0.0.1", None) <= taken_port + 50
    monkeypatch.setattr(up, "LAST_PORT", taken_port)
    with pytest.raises(CommandError, match="No free port"):
        up._free_port("127.0.0.1", None)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::"])
def test_an_address_that_others_reach_is_refused(home: Path, host: str) -> None:
    with pytest.raises(CommandError, match=rf"{host} is no loopback address\..*--allow-host"):
        up.up(port=None, host=host)


def test_names_that_the_user_allows_reach_the_guard() -> None:
    command = up._commands("127.0.0.1", 3000, ["bots.example", "other.example"])["webserver"]
    assert command[-2:] == ["--allow-host=bots.example", "--allow-host=other.example"]


def test_a_second_one_over_the_same_home_is_refused_and_told_of_the_first(home: Path) -> None:
    with up._only_one(home / "up.lock") as lock:
        up._note(lock, "http://127.0.0.1:3000", [])
        with pytest.raises(CommandError, match=rf"already running at http://127.0.0.1:3000\n.*kill {os.getpid()}"):
            up.up(port=None, host="127.0.0.1")
    with up._only_one(home / "up.lock"):
        pass  # free again


def test_a_program_that_ends_by_itself_is_reported_with_its_last_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "for n in $(seq 99); do echo line $n; done; exit 3"
    monkeypatch.setattr(up, "upgraded_url", str)
    monkeypatch.setattr(up, "_commands", lambda host, port, allowed: {"daemon": ["sh", "-c", script]})
    with pytest.raises(CommandError) as failure:
        up.up(port=None, host="127.0.0.1")
    first, second, *lines = str(failure.value).splitlines()
    assert first == "The daemon exited unexpectedly (exit status 3)."
    assert second == f"The end of its log, {home / 'logs' / 'daemon.log'}:"
    assert lines == [f"line {n}" for n in range(85, 100)]


def test_a_program_that_does_not_stop_is_killed_with_all_that_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "STOP_TIMEOUT", 0.1)
    with up._only_one(home / "up.lock") as lock:
        family = ["sh", "-c", '"$0" -c "$1" & "$0" -c "$1"', sys.executable, STUBBORN]
        program = up._start("daemon", family, home / "logs", lock)
        tail = subprocess.Popen(["tail", "-F", "-n", "+1", program.log], stdout=subprocess.PIPE, text=True)
        assert tail.stdout is not None
        assert [tail.stdout.readline() for _ in range(2)] == ["ready\n", "ready\n"]
        tail.kill()
        tail.communicate()
        members = up._members({program.process.pid})
        assert len(members) == 3
        up._stop([program])
        _, alive = psutil.wait_procs(members, timeout=30)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
