"""`knowdefeat doctor`: what it looks at, and what it says to do."""

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.cli.commands import up
from knowdefeat_pipeline.postgres import advisory, clock, liveness
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.last_backup import NOTE
from knowdefeat_pipeline.postgres.liveness import show_alive
from knowdefeat_pipeline.store import health
from knowdefeat_pipeline.store.locks import days_locked, listener_lock
from tests.cli.conftest import Shell
from tests.postgres.poolers import needs_pooler, pooler

TRADE = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " SELECT 1, 'COIN', 'LONG', 'closed', now - interval '1 hour', now, 100, 101, 100 FROM clock_timestamp() AS now"
)


def findings(shell: Shell, status: int = 0) -> dict[str, list[dict]]:
    """By subject."""
    shell("doctor", "--json", status=status)
    found: dict[str, list[dict]] = {}
    for finding in json.loads(shell.output):
        found.setdefault(finding["subject"], []).append(finding)
    return found


@pytest.mark.long
def test_everything_is_as_it_should_be(shell: Shell) -> None:
    (open_,) = findings(shell)["Roles"]  # a copied database has not its rights
    assert (open_["ok"], open_["warning"]) == (True, True)
    assert open_["found"] == "every role that is connected may use temporary tables"
    assert "knowdefeat db migrate" in open_["remedy"]
    shell("db", "migrate")
    found = findings(shell)
    results = [f"Results: {family}" for family in ("market", "ranking", "beliefs")]
    assert list(found) == [
        "Python", "Packages", "Settings", "Home", "Disk", "Database", "Schema", "Roles", "Connections", "Needs", "Clock", "Transaction ids", "Bots", *results, "Live listener",
        "Runs", "Locks", "Webhook", "Backup",
        "Dagster home", "Guard",
    ]  # fmt: skip
    assert all(finding["ok"] for each in found.values() for finding in each)
    assert [subject for subject, each in found.items() if any(f["warning"] for f in each)] == ["Connections", "Backup"]
    assert re.fullmatch(
        r"our own programs are knowdefeat; connected: knowdefeat \(\d+\)\. knowdefeat may do everything on the server",
        found["Connections"][0]["found"],
    )
    assert found["Clock"][0]["found"] == "that of the database"
    assert found["Runs"][0]["found"] == "none is dead"
    assert found["Backup"][0]["found"] == "none is known"
    assert found["Guard"][0]["found"] == "knowdefeat up does not run"
    assert found["Settings"][0]["found"] == "KNOWDEFEAT_HOME, KNOWDEFEAT_DATABASE_URL"


def test_every_setting_that_cannot_be_used_is_named_and_the_rest_is_looked_at(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNOWDEFEAT_FIRST_DAY", "tomorrow")
    monkeypatch.setenv("KNOWDEFEAT_CHUNK_DAYS", "0")
    monkeypatch.setenv("KNOWDEFEAT_WEBHOOK_URL", "secret")
    found = findings(shell, status=1)
    assert [(f["ok"], f["found"]) for f in found["Settings"]] == [
        (False, "KNOWDEFEAT_FIRST_DAY='tomorrow' is not a day from 1900-01-01 to 2200-01-01."),
        (False, "KNOWDEFEAT_CHUNK_DAYS='0' is not a number of days."),
        (False, "KNOWDEFEAT_WEBHOOK_URL is not a web address."),
    ]
    assert found["Settings"][0]["remedy"] == "Write it as YYYY-MM-DD, for instance 2015-01-01."
    assert found["Schema"][0]["ok"] is True


@pytest.mark.long
def test_a_copy_from_another_server_is_named_until_it_is_adopted(shell: Shell) -> None:
    with connect(shell.database) as connection:
        connection.execute("UPDATE cluster_identity SET system_identifier = 7")
    (origin,) = findings(shell, status=1)["Transaction ids"]
    assert (origin["ok"], origin["remedy"]) == (False, "Run: knowdefeat db adopt")
    assert origin["found"] == "the database was copied from another server, and new trades can be missed"
    for command in (("rankings",), ("days",), ("live",), ("db", "backup", "x")):
        assert "copied from another PostgreSQL server" in shell(*command, status=1)
    assert "are this server's own now" in shell("db", "adopt")
    assert "nothing was changed" in shell("db", "adopt")
    (origin,) = findings(shell)["Transaction ids"]
    assert origin["found"].startswith("system identifier ")
    with connect(shell.database) as connection:
        connection.execute("UPDATE cluster_identity SET system_identifier = 7")
    shell("db", "migrate")
    assert findings(shell)["Transaction ids"][0]["ok"] is True


def test_bots_that_were_deleted_while_their_trades_stayed_are_named_until_they_are_back(shell: Shell) -> None:
    assert findings(shell)["Bots"][0]["found"] == "each that has trades is there"
    with connect(shell.database) as connection:
        for bot in (7, 8, 30):
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, quote_currency) "
                "VALUES (%s, 'X', 'LONG', '2025-02-20 09:00Z', 100, 100, 'EUR')",
                (bot,),
            )
        connection.execute("ALTER TABLE bots DISABLE TRIGGER bots_with_trades_stay")
        connection.execute("DELETE FROM bots WHERE bot_id IN (7, 30)")
        (bots,) = findings(shell, status=1)["Bots"]
        assert bots["found"] == "2 deleted by hand, while their trades stayed: 7, 30"
        told, last = bots["remedy"].split(": INSERT ")[1].split("; then run: ")
        assert last == "knowdefeat run --all"
        connection.execute(f"INSERT {told}")
        connection.execute(f"INSERT {told.replace('= 7', '= 30')}")
        back = connection.execute("SELECT bot_id, quote_currency, is_active FROM bots ORDER BY 1").fetchall()
    assert back == [(7, "EUR", False), (8, "EUR", True), (30, "EUR", False)]
    assert findings(shell)["Bots"][0]["ok"] is True


def test_an_empty_database_lacks_the_schema(new_shell: Shell) -> None:
    (schema,) = findings(new_shell, status=1)["Schema"]
    assert (schema["ok"], schema["remedy"]) == (False, "Run: knowdefeat db migrate")
    assert schema["found"].startswith("none; pending: 0001, ")


def test_another_dagster_home_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    (home,) = findings(shell, status=1)["Dagster home"]
    assert home["found"] == "DAGSTER_HOME is /elsewhere"


@pytest.mark.parametrize(
    ("free", "ok", "warning"), [(1_000_000_000, True, False), (999_000_000, True, True), (199_000_000, False, True)]
)
def test_a_disk_that_fills_is_a_warning_and_a_full_one_an_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, free: int, ok: bool, warning: bool
) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda path: usage)
    (disk,) = findings(shell, status=0 if ok else 1)["Disk"]
    assert (disk["ok"], disk["warning"]) == (ok, warning)
    assert disk["found"] == f"{free / 1e9:.1f} GB free"


def test_a_warning_is_shown_with_its_remedy_and_is_no_failure(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=500_000_000)
    monkeypatch.setattr(health.shutil, "disk_usage", lambda path: usage)
    shown = shell("doctor")
    assert "warning" in shown
    assert "0.5 GB free" in shown
    assert "Make room on the disk of" in shown


@pytest.mark.long
@pytest.mark.parametrize(
    ("seconds", "ok", "warning", "found"),
    [
        (-4, True, False, "that of the database"),
        (-9, True, True, "9 s behind the database's"),
        (299, True, True, "299 s ahead of the database's"),
        (7_200, False, True, "7,200 s ahead of the database's"),
        (-7_200, False, True, "7,200 s behind the database's"),
    ],
)
def test_a_clock_that_is_not_the_database_s(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, seconds: int, ok: bool, warning: bool, found: str
) -> None:
    real = clock.now

    def ahead(connection: psycopg.Connection) -> datetime:
        return real(connection) - timedelta(seconds=seconds)

    monkeypatch.setattr(clock, "now", ahead)
    (finding,) = findings(shell, status=0 if ok else 1)["Clock"]
    assert (finding["ok"], finding["warning"], finding["found"]) == (ok, warning, found)


@pytest.mark.long
def test_a_run_whose_process_is_gone_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENT_SECONDS", 0)
    with open_instance() as instance, connect(shell.database) as session:
        job = build_defs().resolve_job_def("refresh")
        dead, alive = (instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
        show_alive(session, alive.run_id)
        (runs,) = findings(shell, status=1)["Runs"]
        assert (runs["ok"], runs["found"]) == (
            False,
            f"1 started, whose process was killed or crashed: {dead.run_id}",
        )
        assert runs["remedy"].startswith("knowdefeat up marks them as failed within two minutes")
        instance.report_run_failed(dead)
        assert findings(shell)["Runs"][0]["found"] == "none is dead"


@pytest.mark.long
def test_the_last_backup_is_remembered(shell: Shell, tmp_path: Path) -> None:
    shell("db", "backup", tmp_path / "knowdefeat.dump")
    (backup,) = findings(shell)["Backup"]
    today = datetime.now(UTC).date()
    assert not backup["warning"]
    assert backup["found"].startswith(f"{today} ")
    file = tmp_path / "knowdefeat.dump"
    assert backup["found"].endswith(f" UTC, within the last two days, to {file}")
    note = Path(os.environ["KNOWDEFEAT_HOME"]) / NOTE
    noted = json.loads(note.read_text())
    old = {**noted, "at": f"{today - timedelta(days=9)}T00:00:00+00:00"}
    fresh = f"UTC, within the last two days, to {file}"
    for changed, end in (
        (old, f" 00:00 UTC, 9 days ago, to {file}"),
        (noted | {"file": "/elsewhere/a.dump"}, " to /elsewhere/a.dump, which is not there any more"),
        (noted | {"origin": [7, "kd"]}, f"{fresh}, of another database, kd of the server 7"),
        ({"at": noted["at"], "file": noted["file"]}, f"{fresh}, of a database that was not noted"),
    ):
        note.write_text(json.dumps(changed))
        (backup,) = findings(shell)["Backup"]
        assert backup["warning"]
        assert backup["found"].endswith(end)
    note.write_text("{")
    assert findings(shell)["Backup"][0]["found"].startswith("none is known")


@pytest.mark.long
def test_what_runs_may_be_late_for_some_minutes_while_somebody_computes(shell: Shell) -> None:
    with open_instance(), connect(shell.database) as connection, listener_lock(connection):
        connection.execute(TRADE)
        (stale,) = findings(shell, status=1)["Results: ranking"]  # no daemon
        connection.execute(
            "INSERT INTO dagster.daemon_heartbeats (daemon_type, timestamp)"
            " VALUES ('SENSOR', clock_timestamp() AT TIME ZONE 'UTC')"
        )
        (late,) = findings(shell)["Results: ranking"]
        assert not stale["ok"]
        assert late["ok"]
        assert late["found"].startswith(f"{stale['found']}, for ")
        assert late["found"].endswith(" s: knowdefeat up is about to compute them")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(health, "CATCHING_UP", timedelta(0))
            assert not findings(shell, status=1)["Results: ranking"][0]["ok"]


def test_whoever_holds_a_lock_for_long_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    day = date(2025, 3, 10)
    with connect(shell.database) as holder, days_locked(holder, day, day):
        assert findings(shell)["Locks"][0]["found"] == "nobody stands in the way"
        monkeypatch.setattr(advisory, "STILL", -1.0)
        (locks,) = findings(shell)["Locks"]
    assert locks["warning"]
    assert (
        f"let it go on: kill -CONT {os.getpid()} (on {socket.gethostname()}), or end it: SELECT pg_terminate_backend("
        in locks["found"]
    )


@needs_pooler
def test_a_database_that_one_cannot_compute_on_is_an_error(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooler(shell.database, tmp_path, "transaction") as url:
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
        (needs,) = findings(shell, status=1)["Needs"]
    assert "pooler in transaction mode" in needs["found"]


@contextmanager
def serving(status: int) -> Iterator[str]:
    """A web server that answers everything by this status; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Host"] == "elsewhere.invalid"
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_dagster_ui_that_answers_under_a_foreign_name_is_an_error(shell: Shell) -> None:
    lock = Path(os.environ["KNOWDEFEAT_HOME"]) / up.LOCK
    with up._only_one(lock) as held:
        for status, ok in ((403, True), (200, False)):
            with serving(status) as address:
                up._note(held, "http://127.0.0.1:1", address, [])
                (guard,) = findings(shell, status=0 if ok else 1)["Guard"]
            assert guard["ok"] is ok
            assert guard["found"].startswith(f"the Dagster UI at {address} answers under ")
        (guard,) = findings(shell)["Guard"]  # it is gone
        assert (guard["ok"], guard["warning"]) == (True, True)
        assert "does not answer" in guard["found"]
    assert findings(shell)["Guard"][0]["found"] == "knowdefeat up does not run"
