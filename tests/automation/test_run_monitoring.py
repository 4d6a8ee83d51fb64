"""Runs that live are left alone, and runs whose process was killed are marked as failed by run monitoring."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import psycopg
import pytest
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.postgres import liveness
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.liveness import is_alive, show_alive
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.locks import days_locked

STATUS = dg.DagsterRunStatus
PATIENCE = 60.0  # seconds
DAY = date(2025, 2, 28)


@contextmanager
def backfill() -> Iterator[subprocess.Popen[bytes]]:
    """`knowdefeat backfill` of the day, in a process that is killed at the end."""
    command = [sys.executable, "-c", "from knowdefeat_pipeline.cli.app import main; main()", "backfill"]
    process = subprocess.Popen(
        [*command, "--from", str(DAY), "--to", str(DAY)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
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
    """The id of the process's run, once it has started."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        runs = instance.get_runs(dg.RunsFilter(statuses=[STATUS.STARTED]))
        if runs:
            return runs[0].run_id
        time.sleep(0.05)
    raise AssertionError(f"no run of the process, which ended with {process.poll()}")


def status(instance: dg.DagsterInstance, run_id: str) -> STATUS:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.long
def test_a_run_is_left_alone_while_it_lives_and_fails_once_its_process_was_killed(
    url: str, instance: dg.DagsterInstance, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0)
    with connect(url) as holder, days_locked(holder, DAY, DAY), backfill() as process:  # it waits for its day
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
