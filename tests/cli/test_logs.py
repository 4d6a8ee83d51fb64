"""Logs that grow at the end, are set aside when they are too long, and survive whoever started their program."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli import logs
from knowdefeat_pipeline.cli.logs import last_words, open_log, rotate

# A program that writes ten numbered lines whenever it is told to, and answers by a dot.
WRITER = """
import sys
for at, _ in enumerate(sys.stdin):
    for n in range(10):
        print(f"line {10 * at + n:04}", file=sys.stderr, flush=True)
    print(".", flush=True)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(logs, "LARGEST", 150)
    monkeypatch.setattr(logs, "OLDER", 3)
    return tmp_path / "logs" / "daemon.log"


@pytest.fixture
def writer(log: Path) -> Iterator[subprocess.Popen[str]]:
    """A program over the log that outlives the handle with which it was started."""
    with open_log(log, "daemon") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        )
    with process:
        yield process
        process.kill()


def write(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go on\n")
    process.stdin.flush()
    assert process.stdout.readline() == ".\n"


def test_a_log_is_continued_with_a_line_that_says_when_its_program_was_started(log: Path) -> None:
    for words in (b"the crash that one looks for\n", b"all is well\n"):
        with open_log(log, "daemon") as file:
            file.write(words)
    begun, crash, again, well = log.read_text().splitlines()
    assert (crash, well) == ("the crash that one looks for", "all is well")
    for line in (begun, again):
        assert line.startswith("=== 20")
        assert line.endswith(" UTC: the daemon is started")
    assert last_words(log, 15) == "all is well"
    assert last_words(log, 1) == "all is well"


def test_a_running_program_writes_on_and_every_line_stays_once(log: Path, writer: subprocess.Popen[str]) -> None:
    for _ in range(4):
        write(writer)
        rotate(log)
        rotate(log)  # it is short now
    write(writer)
    older = [log.with_name(f"daemon.log.{number}") for number in (3, 2, 1)]
    lines = "".join(path.read_text() for path in (*older, log) if path.exists()).splitlines()
    assert [line for line in lines if not line.startswith("===")] == [f"line {n:04}" for n in range(50)]
    assert log.stat().st_size == 10 * len("line 0000\n") + 100  # the last two times
    assert sorted(path.name for path in log.parent.iterdir()) == ["daemon.log", "daemon.log.1", "daemon.log.2"]


def test_the_oldest_goes(log: Path, writer: subprocess.Popen[str]) -> None:
    for _ in range(10):
        write(writer)
        write(writer)
        rotate(log)
    kept = [log.with_name(f"daemon.log.{number}").read_text().splitlines() for number in (3, 2, 1)]
    assert [(lines[0], lines[-1]) for lines in kept] == [
        ("line 0140", "line 0159"),
        ("line 0160", "line 0179"),
        ("line 0180", "line 0199"),
    ]
    assert len([*log.parent.iterdir()]) == 4


def test_a_rotation_that_fails_leaves_the_log(log: Path, writer: subprocess.Popen[str]) -> None:
    write(writer)
    write(writer)
    before = log.read_bytes()
    blocked = log.with_name("daemon.log.unfinished")
    blocked.mkdir()
    with pytest.raises(IsADirectoryError):
        rotate(log)
    assert log.read_bytes() == before
    blocked.rmdir()
    rotate(log)
    assert (log.with_name("daemon.log.1").read_bytes(), log.read_bytes()) == (before, b"")


def test_logs_are_read_by_their_user_alone_whatever_the_process_grants_others(
    log: Path, writer: subprocess.Popen[str]
) -> None:
    older = log.with_name("daemon.log.1")
    older.write_text("from before")
    older.chmod(0o644)
    log.chmod(0o644)
    open_log(log, "daemon").close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in log.parent.iterdir()}
    assert modes == {"daemon.log": 0o600, "daemon.log.1": 0o600}
    write(writer)
    write(writer)
    rotate(log)
    assert {path.stat().st_mode & 0o777 for path in log.parent.iterdir()} == {0o600}
    assert log.parent.stat().st_mode & 0o777 == 0o700
