"""Runs that live are left alone, and runs whose process was killed end: by run monitoring, and by the next listener."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.live import LIVE_TAG, Listener
from knowdefeat_pipeline.automation.runs import CODE_LOCATION
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import liveness
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.liveness import is_alive, show_alive
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.staleness import lock_days

STATUS = dg.DagsterRunStatus
PATIENCE = 60.0  # seconds


@contextmanager
def live_listener() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from knowdefeat_pipeline.cli.app import main; main()", "live"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def monitor(instance: dg.DagsterInstance) -> None:
    """One look of Dagster's monitoring daemon, which fails the test if anything goes wrong in it."""
    workspace = cast(Any, SimpleNamespace(instance=instance, create_request_context=lambda: None))
    assert not any(execute_run_monitoring_iteration(workspace, logging.getLogger("monitoring")))


def wait_for_run(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> str:
    """The id of the listener's run, once it has started."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        runs = instance.get_runs(dg.RunsFilter(tags={LIVE_TAG: "true"}, statuses=[STATUS.STARTED]))
        if runs:
            return runs[0].run_id
        time.sleep(0.05)
    raise AssertionError(f"no run of the listener, which ended with {process.poll()}")


def status(instance: dg.DagsterInstance, run_id: str) -> STATUS:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def close_a_trade(connection: psycopg.Connection) -> date:
    exit_time = datetime.now(UTC) - timedelta(seconds=1)
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
        " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
        (exit_time - timedelta(hours=1), exit_time),
    )
    return exit_time.date()


def test_a_live_run_is_left_alone_and_fails_once_its_process_was_killed(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0)
    with connect(url) as holder:  # the run waits for its days, as behind a backfill
        day = close_a_trade(connection)
        lock_days(holder, day - timedelta(days=100), day)
        with live_listener() as process:
            run_id = wait_for_run(instance, process)
            deadline = time.monotonic() + PATIENCE
            while not is_alive(connection, run_id) and time.monotonic() < deadline:
                time.sleep(0.05)
            monitor(instance)
            assert status(instance, run_id) is STATUS.STARTED
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            # The server notices a closed connection when it next speaks to it: not while the session waits for a lock.
            holder.close()
            while is_alive(connection, run_id) and time.monotonic() < deadline:
                time.sleep(0.05)
            monitor(instance)
    assert status(instance, run_id) is STATUS.FAILURE
    (failure,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "The run's process exited without a result" in failure.message


def test_the_next_listener_ends_the_runs_of_a_killed_one(url: str, instance: dg.DagsterInstance) -> None:
    job = build_defs().resolve_job_def("refresh")
    tags = {REPOSITORY_LABEL_TAG: CODE_LOCATION}
    live = [
        instance.create_run_for_job(job, tags={**tags, LIVE_TAG: "true"}, status=state).run_id
        for state in (STATUS.NOT_STARTED, STATUS.STARTED, STATUS.SUCCESS)
    ]
    others = instance.create_run_for_job(job, tags=tags, status=STATUS.STARTED).run_id
    definitions = build_defs({"database": Database(url=url)})
    stop = iter([False, True, True])
    Listener(url, definitions, lambda line: None, Clock(), stop=lambda: next(stop)).run()
    assert [status(instance, run_id) for run_id in live] == [STATUS.FAILURE, STATUS.FAILURE, STATUS.SUCCESS]
    assert status(instance, others) is STATUS.STARTED


def test_a_run_lives_while_its_session_does_and_shortly_after_it_was_heard_of(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = instance.create_run_for_job(build_defs().resolve_job_def("refresh"), status=STATUS.STARTED)
    assert is_alive(connection, run.run_id)  # its plan was written this instant
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0)
    assert not is_alive(connection, run.run_id)
    with connect(url) as session:
        show_alive(session, run.run_id)
        assert is_alive(connection, run.run_id)
        assert not is_alive(connection, "another")
        session.execute("SELECT pg_advisory_unlock_all()")  # as its end does, which the server notices a little later
    assert not is_alive(connection, run.run_id)
