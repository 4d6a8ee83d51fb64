"""Failed runs are reported: in the log and to the webhook; and a webhook that fails fails the tick, not the report."""

import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import Clock, DatabaseAt
from knowdefeat_pipeline.automation.runs import RunFailed, refresh_days
from knowdefeat_pipeline.automation.sensors import failures
from knowdefeat_pipeline.automation.sensors.failures import report_failures
from knowdefeat_pipeline.build import build_defs

FIRST, LAST = date(2025, 2, 24), date(2025, 2, 25)


class Hook(ThreadingHTTPServer):
    """A chat that takes reports, refuses them, or never answers."""

    status = 204
    received: list[dict]
    silent: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        if self.server.silent:
            self.server.silent.wait()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append({"path": self.path, "type": self.headers["Content-Type"], **json.loads(body)})
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with Hook(("127.0.0.1", 0), _Handler) as server:
        server.received = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("KNOWDEFEAT_WEBHOOK_URL", server.url)
        yield server
        if server.silent:
            server.silent.set()
        server.shutdown()


class Daemon:
    """Ticks the sensor as Dagster's daemon does: the cursor goes from one tick to the next."""

    def __init__(self, instance: dg.DagsterInstance, url: str) -> None:
        self.instance = instance
        self.definitions = build_defs({"database": DatabaseAt(url=url), "clock": Clock()})
        self.cursor: str | None = None

    def tick(self) -> list:
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, repository_def=self.definitions.get_repository_def()
        ) as context:
            data = report_failures.evaluate_tick(context)
        self.cursor = data.cursor
        return list(data.dagster_run_reactions or [])

    def fail(self, connection: psycopg.Connection, first: date = FIRST, last: date = LAST) -> str:
        connection.execute("ALTER TABLE win_streaks_rows RENAME TO hidden")
        with pytest.raises(RunFailed):
            refresh_days(self.definitions, self.instance, first, last)
        connection.execute("ALTER TABLE hidden RENAME TO win_streaks_rows")
        return self.instance.get_runs(limit=1)[0].run_id


@pytest.fixture
def daemon(instance: dg.DagsterInstance, url: str) -> Daemon:
    daemon = Daemon(instance, url)
    daemon.tick()  # the first tick only notes where the log ends
    return daemon


def test_a_failed_run_is_posted_once(daemon: Daemon, connection: psycopg.Connection, hook: Hook) -> None:
    run_id = daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert reaction.error is None
    (report,) = hook.received
    assert (report["path"], report["type"]) == ("/hook", "application/json")
    assert (report["job"], report["run_id"], report["partitions"]) == ("refresh", run_id, "2025-02-24..2025-02-25")
    assert report["error"].startswith("win_streaks: ")
    assert 'relation "win_streaks_rows" does not exist' in report["error"]
    assert report["text"].startswith(f"KnowDefeat Pipeline: refresh (2025-02-24..2025-02-25) failed in run {run_id}: ")
    assert daemon.tick() == []
    assert len(hook.received) == 1


def test_without_an_address_the_log_alone_is_told(
    daemon: Daemon, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KNOWDEFEAT_WEBHOOK_URL", raising=False)
    run_id = daemon.fail(connection, FIRST, FIRST)
    (reaction,) = daemon.tick()
    assert reaction.error is None
    assert f"refresh (2025-02-24) failed in run {run_id}" in capfd.readouterr().err


def test_a_run_that_never_had_a_step_says_why(daemon: Daemon, instance: dg.DagsterInstance, hook: Hook) -> None:
    run = instance.create_run_for_job(build_defs().resolve_job_def("maintenance"))
    instance.report_run_failed(run, "Its process was killed.")
    assert [reaction.error for reaction in daemon.tick()] == [None]
    (report,) = hook.received
    assert (report["job"], report["partitions"], report["error"]) == ("maintenance", None, "Its process was killed.")


def test_a_webhook_that_refuses_fails_the_tick_and_the_next_failure_is_still_reported(
    daemon: Daemon, connection: psycopg.Connection, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    hook.status = 500
    first = daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert "HTTP Error 500" in reaction.error.message
    assert f"failed in run {first}" in capfd.readouterr().err  # told before the webhook was tried
    hook.status = 204
    second = daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert (reaction.error, reaction.dagster_run.run_id) == (None, second)


def test_a_webhook_that_does_not_answer_is_given_up(
    daemon: Daemon, connection: psycopg.Connection, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "TIMEOUT", 0.2)
    hook.silent = threading.Event()
    daemon.fail(connection)
    (reaction,) = daemon.tick()
    assert "timed out" in reaction.error.message
