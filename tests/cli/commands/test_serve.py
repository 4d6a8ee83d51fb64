"""`knowdefeat serve`: each part is started as what it is, and refuses what `up` would."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from knowdefeat_pipeline.automation import code_server
from knowdefeat_pipeline.automation.loopback import NotLoopback
from knowdefeat_pipeline.cli.commands import serve
from knowdefeat_pipeline.settings import ROOT

PARTS = {
    "pages": (
        lambda: serve.pages(3000, "0.0.0.0", True, ["bots.example"], "https://dagster.example"),
        ["-m", "knowdefeat_pipeline.web.serve", "--host=0.0.0.0", "--port=3000", "--trusted-network",
         "--dagster=https://dagster.example", "--allow-host=bots.example"],
    ),
    "dagster": (
        lambda: serve.dagster_ui(3001, "127.0.0.1", False, None),
        ["-m", "knowdefeat_pipeline.web.dagster_ui", "--host=127.0.0.1", "--port=3001"],
    ),
    "daemon": (serve.daemon, ["run", "-w", str(ROOT / "code_server.yaml")]),
    "code": (
        lambda: serve.code(4000, "10.0.0.2", True),
        ["-m", "knowdefeat_pipeline.automation.code_server", "-m", "knowdefeat_pipeline.definitions",
         "-h", "10.0.0.2", "-p", "4000", "--location-name", "knowdefeat-pipeline"],
    ),
}  # fmt: skip


class Became(Exception):
    """What this process would have become."""


@pytest.fixture
def host(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of several, where nothing is executed."""
    (tmp_path / "database_url").write_text(database)
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL_FILE", str(tmp_path / "database_url"))
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    monkeypatch.setenv("KNOWDEFEAT_CODE_SERVER", "10.0.0.2:4000")
    monkeypatch.setenv("KNOWDEFEAT_CODE_LOCATION", "knowdefeat-pipeline")
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)

    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        raise Became(program, command, environment)

    monkeypatch.setattr(os, "execve", become)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_the_program_that_it_stands_for(host: None, part: str) -> None:
    start, arguments = PARTS[part]
    with pytest.raises(Became) as found:
        start()
    program, command, environment = found.value.args
    assert (
        program
        == command[0]
        == (str(Path(sys.executable).parent / "dagster-daemon") if part == "daemon" else sys.executable)
    )
    assert command[1:] == arguments
    assert environment["DAGSTER_HOME"] == str(ROOT)
    assert (environment.get("KNOWDEFEAT_CODE_HOST"), environment.get("KNOWDEFEAT_CODE_PORT")) == (
        ("10.0.0.2", "4000") if part == "daemon" else (None, None)
    )


@pytest.mark.parametrize("part", [serve.pages, serve.dagster_ui, serve.code])
def test_an_address_that_others_reach_needs_a_word_for_it(host: None, part: Any) -> None:
    with pytest.raises(NotLoopback, match="knowdefeat serve with --trusted-network"):
        part(port=3000, host="0.0.0.0")


def _run(ready: Any, on_sigterm: Any, seconds: float) -> None:
    signal.signal(signal.SIGTERM, on_sigterm)
    ready.set()
    time.sleep(seconds)


def test_runs_of_a_code_server_that_ends_finish_or_stop_or_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_server, "FINISHES", 0.5)
    monkeypatch.setattr(code_server, "STOPS", 0.5)
    fork = multiprocessing.get_context("fork")
    runs = []
    for kind in ((signal.SIG_DFL, 0.0), (signal.SIG_DFL, 600.0), (signal.SIG_IGN, 600.0)):
        ready = fork.Event()
        runs.append(fork.Process(target=_run, args=(ready, *kind)))
        runs[-1].start()
        assert ready.wait(30)
    runs[0].join(30)
    code_server.end_runs()
    for run in runs:
        run.join(30)
    assert [run.exitcode for run in runs] == [0, -signal.SIGTERM, -signal.SIGKILL]
