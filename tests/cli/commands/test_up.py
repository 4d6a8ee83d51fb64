"""`knowdefeat up` when things go wrong; that it serves and stops is tested in a browser (tests/e2e)."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from knowdefeat_pipeline.automation.loopback import NotLoopback
from knowdefeat_pipeline.cli import logs
from knowdefeat_pipeline.cli.commands import up
from knowdefeat_pipeline.cli.options import CommandError

PATIENCE = 60.0  # seconds that nothing here needs
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
    with pytest.raises(NotLoopback, match=rf"{host} is no loopback address\..*--allow-host"):
        up.up(port=None, host=host)


def test_names_that_the_user_allows_reach_the_guard() -> None:
    pages, dagster = (
        up.Place("pages", "pages", "127.0.0.1", 3000, "/"),
        up.Place("Dagster UI", "webserver", "::1", 3001, "/"),
    )
    commands = up._commands(pages, dagster, ["bots.example", "other.example"])
    for name in ("pages", "webserver"):
        assert commands[name][-2:] == ["--allow-host=bots.example", "--allow-host=other.example"]
    assert "--dagster=http://[::1]:3001" in commands["pages"]
    assert "follower" not in commands


def test_files_are_followed_by_a_program_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = up.Place("pages", "pages", "127.0.0.1", 3000, "/")
    commands = up._commands(place, place, [], [Path("a/trades.csv"), Path("-b.csv")])
    assert commands["follower"][1:] == ["follow", "--", f"{tmp_path}/a/trades.csv", f"{tmp_path}/-b.csv"]


def test_a_second_one_over_the_same_home_is_refused_and_told_of_the_first(home: Path) -> None:
    with up._only_one(home / "up.lock") as lock:
        up._note(lock, "http://127.0.0.1:3000", "http://127.0.0.1:3001", [])
        with pytest.raises(CommandError, match=rf"already running at http://127.0.0.1:3000\n.*kill {os.getpid()}"):
            up.up(port=None, host="127.0.0.1")
    with up._only_one(home / "up.lock"):
        pass  # free again
    assert (home / "up.lock").stat().st_mode & 0o777 == 0o600


def test_a_program_that_ends_by_itself_is_reported_with_its_last_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "for n in $(seq 99); do echo line $n; done; exit 3"
    monkeypatch.setattr(up, "_prepare", lambda settings, code: {})
    monkeypatch.setattr(up, "_commands", lambda *places: {"daemon": ["sh", "-c", script]})
    with pytest.raises(CommandError) as failure:
        up.up(port=None, host="127.0.0.1")
    first, second, *lines = str(failure.value).splitlines()
    assert first == (
        "The daemon exited unexpectedly (exit status 3); the other programs were stopped. Once the cause is mended, "
        "start them again: knowdefeat up"
    )
    assert second == f"The end of its log, {home / 'logs' / 'daemon.log'}:"
    assert lines == [f"line {n}" for n in range(85, 100)]


AGAIN = """
import os, signal, sys
print("begun", flush=True)
seen = os.path.exists(sys.argv[1])
open(sys.argv[1], "a").close()
if seen:
    sys.exit(4)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_program_that_is_killed_is_started_again_and_one_that_soon_ends_once_more_ends_up(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", AGAIN, str(home / "seen")]
    monkeypatch.setattr(up, "_prepare", lambda settings, code: {})
    monkeypatch.setattr(up, "_await_answer", lambda *arguments: None)
    monkeypatch.setattr(up, "_commands", lambda *places: {"daemon": command})
    with pytest.raises(CommandError, match=r"The daemon exited unexpectedly \(exit status 4\)"):
        up.up(port=None, host="127.0.0.1")
    log = home / "logs" / "daemon.log"
    assert log.read_text().splitlines().count("begun") == 2
    assert f"Started again: the daemon, killed by SIGKILL. The log: {log}\n" in capsys.readouterr().out


def test_a_program_that_was_started_again_long_ago_is_started_once_more(home: Path) -> None:
    with up._only_one(home / "up.lock") as lock:
        start = partial(up._start, "daemon", ["sh", "-c", "exit 3"], home / "logs", lock)
        ended = replace(start(), started_again=time.monotonic() - up.SETTLED)
        ended.process.wait()
        again = up._again(ended, start)
        assert again.process.wait() == 3
        assert again.started_again is not None
        with pytest.raises(CommandError, match="start them again: knowdefeat up"):
            up._again(again, start)


@pytest.mark.long
def test_what_a_killed_program_had_started_ends_with_it(home: Path) -> None:
    with up._only_one(home / "up.lock") as lock:
        start = partial(up._start, "daemon", ["sh", "-c", "sleep 1000 & echo ready; wait"], home / "logs", lock)
        ended = start()
        (left,) = _await_children(ended.process.pid)
        ended.process.kill()
        ended.process.wait()
        again = up._again(ended, start)
        psutil.wait_procs([left], timeout=30)
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
        up._stop([again], timeout=0.1)


def _await_children(pid: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 30
    while not (children := psutil.Process(pid).children()):
        assert time.monotonic() < deadline
    return children


def test_the_last_start_left_its_log_and_a_long_one_is_set_aside_while_programs_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = 'echo "started $0"; while [ ! -e "$1" ]; do sleep 0.01; done; exit 3'
    monkeypatch.setattr(up, "_again", lambda ended, start: up._require_running([ended]))
    monkeypatch.setattr(up, "_prepare", lambda settings, code: {})
    monkeypatch.setattr(up, "_await_answer", lambda *arguments: None)
    monkeypatch.setattr(up, "LOOK_AT_LOGS", 0.0)
    log, older = home / "logs" / "daemon.log", home / "logs" / "daemon.log.1"
    for attempt in ("once", "twice"):
        command = ["sh", "-c", script, attempt, str(log if attempt == "once" else older)]
        monkeypatch.setattr(up, "_commands", lambda *places, command=command: {"daemon": command})
        with pytest.raises(CommandError, match="exit status 3"):
            up.up(port=None, host="127.0.0.1")
        if attempt == "once":  # too long as soon as the program has said that it is there
            beginning = log.read_bytes().index(b"\n") + 1
            monkeypatch.setattr(logs, "LARGEST", log.stat().st_size + beginning)
    assert older.read_text().count("the daemon is started") == 2
    assert [line for line in older.read_text().splitlines() if "===" not in line] == ["started once", "started twice"]
    assert log.read_bytes() == b""


def test_a_log_that_cannot_be_set_aside_ends_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(log: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(up, "rotate", full)
    up._keep_short(home / "daemon.log")
    assert capsys.readouterr().err.endswith("daemon.log grows on, as it cannot be set aside: No space left on device\n")


@pytest.mark.long
def test_a_program_that_does_not_stop_is_killed_with_all_that_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up._only_one(home / "up.lock") as lock:
        family = ["sh", "-c", '"$0" -c "$1" & "$0" -c "$1"', sys.executable, STUBBORN]
        program = up._start("daemon", family, home / "logs", lock)
        tail = subprocess.Popen(["tail", "-F", "-n", "+1", program.log], stdout=subprocess.PIPE, text=True)
        assert tail.stdout is not None
        assert "the daemon is started" in tail.stdout.readline()
        assert [tail.stdout.readline() for _ in range(2)] == ["ready\n", "ready\n"]
        tail.kill()
        tail.communicate()
        members = up._members({program.process.pid})
        assert len(members) == 3
        up._stop([program], timeout=0.1)
        _, alive = psutil.wait_procs(members, timeout=30)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


# As Dagster's daemon with a run under way: it would go on for minutes after the last run has ended.
WITH_A_RUN = """
import multiprocessing, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
run = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(2,))
run.start()
print("ready", flush=True)
run.join()
print("the run has finished", flush=True)
time.sleep(600)
"""


@pytest.mark.long
@pytest.mark.parametrize(("program", "words"), [(STUBBORN, ["ready"]), (WITH_A_RUN, ["ready", "the run has finished"])])
def test_what_dagster_would_still_do_is_waited_for_only_while_a_run_is_under_way(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: list[str]
) -> None:
    monkeypatch.setattr(up, "LEAVE", 0.0)
    with up._only_one(home / "up.lock") as lock:
        daemon = up._start("daemon", [sys.executable, "-c", program], home / "logs", lock)
        await_line(daemon.log, "ready")
        begun = time.monotonic()
        up._stop([daemon], timeout=PATIENCE)
    assert time.monotonic() - begun < PATIENCE
    assert daemon.log.read_text().splitlines()[1:] == words


SERVED = """
import sys
from knowdefeat_pipeline.cli.commands import up
program, timeout = sys.argv[1:]
up._prepare, up._await_answer = lambda settings, code: {}, lambda *arguments: None
up.TERMINATION_TIMEOUT = float(timeout)
programs = {name: [sys.executable, "-c", program, name] for name in ("webserver", "daemon", "listener")}
up._commands = lambda *places: programs
up.up(port=None, host="127.0.0.1")
"""
# A program of ours: it says whether it could speak to the service manager, works until SIGINT, and says goodbye.
POLITE = """
import os, sys, time
try:
    print(sys.argv[1], "NOTIFY_SOCKET" in os.environ, flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("goodbye", flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "timeout", "words"), [(POLITE, 7, ["listener False", "goodbye"]), (STUBBORN, 0.2, ["ready"])]
)
def test_a_service_manager_hears_when_it_is_ready_and_sigterm_stops_it_in_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, timeout: float, words: list[str]
) -> None:
    assert up.TERMINATION_TIMEOUT <= 7
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(str(home / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(home / "notify"))
        process = subprocess.Popen(
            [sys.executable, "-c", SERVED, program, str(timeout)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert manager.recv(100) == b"READY=1"
        log = home / "logs" / "listener.log"
        await_line(log, words[0])
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        said, _ = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - begun < 10
    assert process.returncode == 0, said
    assert f"Stopping; a run that is under way may finish within {timeout:g} s." in said
    assert log.read_text().splitlines()[1:] == words


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only this kernel tells a process that its parent ended")
def test_programs_end_with_what_watches_them_even_if_that_is_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVED, POLITE, "7"], stdout=subprocess.PIPE, text=True)
    for name in ("webserver", "daemon", "listener"):
        await_line(home / "logs" / f"{name}.log", f"{name} False")
    process.kill()
    process.communicate()
    for name in ("webserver", "daemon", "listener"):
        await_line(home / "logs" / f"{name}.log", "goodbye")


def test_of_programs_whose_watcher_was_killed_only_those_alive_are_named() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    told = up._told_of("http://127.0.0.1:3000", processes=[str(gone.pid), str(os.getpid())])
    assert told == (
        "knowdefeat is already running at http://127.0.0.1:3000\n"
        f"What watched it was killed, and the rest ends by itself within seconds, or by: kill {os.getpid()}"
    )


def await_line(log: Path, line: str) -> None:
    """Wait until the log has this line."""
    tail = subprocess.Popen(["tail", "-F", "-n", "+1", log], stdout=subprocess.PIPE, text=True)
    assert tail.stdout is not None
    assert f"{line}\n" in tail.stdout
    tail.kill()
    tail.communicate()
