"""Signals in the midst of a run: a sentence, the exit status of the signal, and no statement that goes on in the server."""

import signal
import subprocess
import sys

import psycopg
import pytest

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

COMMAND = "from knowdefeat_pipeline.cli import main; main()"
WAITS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_interrupted_says_so_and_ends_its_statement(shell: Shell, number: signal.Signals) -> None:
    shell("db", "migrate")  # a copied database has not its rights, and giving them would wait
    shell("simulate", "--bots", 3, "--days", 5)
    with connect(shell.database) as connection, connect(shell.database) as holder, holder.transaction():
        holder.execute("LOCK TABLE bot_metrics_rows IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        while not (waiting := connection.execute(WAITS).fetchall()):
            assert process.poll() is None, process.communicate()
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert "Stopped. What was published before stays; run it again to compute the rest." in said
        for fault in ("Traceback", "Error", "error ignored"):
            assert fault not in said
        left = connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'", waiting[0])
        assert left.fetchall() == []


@pytest.mark.long
def test_a_session_that_ends_before_an_upgrade_with_nothing_to_do_is_asked_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, broken = migrations._lock, []

    def break_once(driver: psycopg.Connection) -> None:
        if not broken:
            broken.append(True)
            driver.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        lock(driver)

    monkeypatch.setattr(migrations, "_lock", break_once)
    shell("simulate", "--bots", 3, "--days", 5)
    shell("run")
    assert broken == [True]
    broken.clear()
    message = shell("db", "migrate", status=1)
    assert message.startswith("Error: Lost the connection to the database: ")
    assert "upgrade" not in message
