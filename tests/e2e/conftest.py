"""The real thing for browser tests: `knowdefeat run`, then `knowdefeat up`, in a home of its own, and Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from scripts import pictures

KNOWDEFEAT = str(Path(sys.executable).parent / "knowdefeat")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP evil.example 127.0.0.1",  # a name that another site has made to point here
]
PATIENCE = 60_000  # milliseconds that a page may take on a busy machine
STOP_SECONDS = 60
Rows = Callable[..., list[tuple]]
Snapshot = Callable[[str], None]


@dataclass(frozen=True)
class System:
    """A running system: the address of Dagster's UI, the database's URL, and the address of the pages."""

    address: str
    database_url: str
    pages: str


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """A simulated fleet ranked by `knowdefeat run`, and `knowdefeat up` over it; at the end nothing may be left."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-e2e-") as home:
        ours = ("KNOWDEFEAT_", "DAGSTER_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment["KNOWDEFEAT_HOME"] = home
        environment["KNOWDEFEAT_CHUNK_DAYS"] = "45"  # so that a backfill of 90 days is two runs
        environment["KNOWDEFEAT_LIVE_REPORT_SECONDS"] = "2"  # so that a report can be awaited
        _command(environment, "simulate")  # 90 days of 24 numbered bots
        _command(environment, "run")
        try:
            url = _command(environment, "db", "url").strip()
            pid = json.loads(_command(environment, "db", "status", "--json"))["pid"]
            port, pages = _free_port(), _free_port()
            up = subprocess.Popen(
                [KNOWDEFEAT, "up", "--port", str(pages), "--dagster-port", str(port)],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                _await_address(up, f"http://127.0.0.1:{pages}")
                yield System(f"http://127.0.0.1:{port}", url, f"http://127.0.0.1:{pages}")
            finally:
                up.send_signal(signal.SIGINT)
                farewell, _ = up.communicate(timeout=STOP_SECONDS)
            assert up.returncode == 0, farewell
            left = [process for process in _processes_of(home) if process.pid != pid]
            assert not left, f"knowdefeat up left processes behind: {left}"
        finally:
            stopped = _command(environment, "db", "stop")
        assert stopped == "Stopped.\n"
        assert not json.loads(_command(environment, "db", "status", "--json"))["running"]


def _command(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([KNOWDEFEAT, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def _await_address(up: subprocess.Popen[str], address: str) -> None:
    assert up.stdout is not None
    line = up.stdout.readline()  # printed once the UI answers; empty when `up` has ended
    assert address in line, f"knowdefeat up did not start: {line}"


def _processes_of(home: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("KNOWDEFEAT_HOME") == home:
                found.append(process)
    # PostgreSQL's own processes are children of the server that `db stop` ends.
    return [process for process in found if "postgres" not in process.name()]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or whichever relative of it is installed."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.fail(
            "The browser tests need Chromium. Install it, on Debian with:\n"
            "  apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core"
        )
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS  # root has no sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, system: System) -> Iterator[Page]:
    """A fresh page of the running system, which must throw no error and ask no other host for anything."""
    context = browser.new_context(base_url=system.address, viewport={"width": 1600, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    elsewhere: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: elsewhere.append(request.url))
    yield page
    context.close()
    assert not errors
    assert [url for url in elsewhere if not url.startswith((system.address, "data:", "blob:"))] == []


@pytest.fixture
def rows(system: System) -> Iterator[Rows]:
    """Ask the running system's database: (statement, *parameters) → rows."""
    with connect(system.database_url) as connection:
        yield lambda statement, *parameters: connection.execute(statement, parameters).fetchall()


@pytest.fixture
def snapshot(page: Page) -> Snapshot:
    """Save the page as a picture in the folder that KNOWDEFEAT_SCREENSHOTS names, if it names one."""
    folder = os.environ.get("KNOWDEFEAT_SCREENSHOTS")

    def save(name: str) -> None:
        if folder:
            page.screenshot(path=ROOT / folder / f"{name}.png")
            pictures.note([ROOT / folder / f"{name}.png"])

    return save
