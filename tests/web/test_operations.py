"""Operations: the page and the status say what doctor finds, what ran, and how fresh and large everything is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from knowdefeat_pipeline.postgres import liveness
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.last_backup import NOTE, note_backup, origin_of
from knowdefeat_pipeline.postgres.roles import Passwords, establish
from knowdefeat_pipeline.settings import Settings
from tests.web.conftest import Web, role_url, served
from tests.web.test_pages import Figures, value

RUNS = """
    CREATE SCHEMA dagster;
    CREATE TABLE dagster.runs (id bigserial PRIMARY KEY, run_id varchar(255), pipeline_name text, status varchar(63),
                               create_timestamp timestamp DEFAULT now(), start_time float8, end_time float8);
    CREATE TABLE dagster.event_logs (id bigserial PRIMARY KEY, run_id varchar(255), timestamp timestamp);
    CREATE TABLE dagster.daemon_heartbeats (id bigserial PRIMARY KEY, daemon_type varchar(255), timestamp timestamp);
    CREATE TABLE dagster.asset_check_executions (id bigserial PRIMARY KEY, asset_key text, check_name text, run_id varchar(255),
        execution_status varchar(255), evaluation_event_timestamp timestamp, create_timestamp timestamp DEFAULT now());
    INSERT INTO dagster.runs (run_id, pipeline_name, status, start_time, end_time) VALUES
        ('11111111-a', 'refresh', 'SUCCESS', 1740787200, 1740787204.8), ('22222222-b', '<script>alert(1)</script>', 'FAILURE', 1740787300, 1740787310),
        ('33333333-c', 'refresh', 'STARTED', 1740787400, NULL), ('44444444-d', 'market', 'QUEUED', NULL, NULL);
    INSERT INTO dagster.asset_check_executions (asset_key, check_name, run_id, execution_status, evaluation_event_timestamp) VALUES
        ('["bot_metrics"]', 'figures_are_possible', '1', 'FAILED', '2025-03-01 00:01'), ('["bot_metrics"]', 'figures_are_possible', '2', 'SUCCEEDED', '2025-03-01 00:02'),
        ('["bot_metrics"]', 'tickers_sum_to_the_bot', '1', 'SUCCEEDED', '2025-03-01 00:01'), ('["bot_metrics"]', 'tickers_sum_to_the_bot', '2', 'FAILED', '2025-03-01 00:02'),
        ('["bot_metrics"]', 'tickers_sum_to_the_bot', '3', 'PLANNED', NULL), ('["trades"]', 'quarantine_is_empty', '', 'FAILED', '2025-03-01 00:03');
"""


@pytest.fixture
def operated(own_web: Web, tmp_path: Path) -> Web:
    """The fleet with what Dagster keeps, and a home of its own."""
    with connect(own_web.url) as connection:
        connection.execute(RUNS)
    own_web.site.settings = Settings(home=tmp_path)
    return own_web


def findings(web: Web) -> dict[str, dict]:
    return {finding["subject"]: finding for finding in web.json("/status")["findings"]}


def test_freshness_and_counts_are_those_of_the_tables(operated: Web) -> None:
    web = operated
    found = Figures(web.get("/operations").text).found
    told = web.json("/status")
    rows = web.rows(
        "SELECT asset, max(day)::text, count(*), max(as_of), max(refreshed_at) FROM refreshed_days GROUP BY asset ORDER BY asset"
    )
    assert len(rows) > 4
    assert [(of["asset"], of["last_day"], of["days"]) for of in told["assets"]] == [row[:3] for row in rows]
    for asset, day, days, as_of, refreshed_at in rows:
        place = f"asset-{asset}"
        assert (found[place, "last_day"], value(found[place, "days"])) == (day, days)
        for name, at in (("as_of", as_of), ("refreshed_at", refreshed_at)):
            assert found[place, name] == at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    ((closed, open_, bots, held),) = web.rows(
        "SELECT (SELECT count(*) FROM trades WHERE status = 'closed'), (SELECT count(*) FROM trades WHERE status <> 'closed'), "
        "(SELECT count(*) FROM bots), (SELECT count(*) FROM trade_quarantine WHERE status = 'held')"
    )
    for name, number in (("closed", closed), ("open", open_), ("bots", bots), ("held", held)):
        assert value(found["counts", name]) == number
        assert told["counts"][name] == number


def test_runs_are_dagster_s_the_latest_first(operated: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = operated.json("/status")["runs"]
    assert [(run["run_id"], run["status"]) for run in runs] == [
        ("44444444-d", "QUEUED"),
        ("33333333-c", "STARTED"),
        ("22222222-b", "FAILURE"),
        ("11111111-a", "SUCCESS"),
    ]
    assert (runs[3]["started_at"], runs[3]["ended_at"]) == ("2025-03-01T00:00:00Z", "2025-03-01T00:00:04.800000Z")
    assert (runs[0]["started_at"], runs[1]["ended_at"]) == (None, None)
    operated.site.dagster = "http://127.0.0.1:3001"
    text = operated.get("/operations").text
    assert 'href="http://127.0.0.1:3001/runs/11111111-a">11111111</a>' in text
    assert "2025-03-01 00:00:00" in text
    assert "4.8 s" in text
    assert "<script>alert" not in text
    with connect(operated.url) as connection:
        assert [run["run_id"] for run in liveness.last_runs(connection, 1)] == ["44444444-d", "33333333-c"]
        assert liveness.dead_runs(connection) == ["33333333-c"]
        connection.execute(
            "INSERT INTO dagster.event_logs (run_id, timestamp) VALUES ('33333333-c', clock_timestamp() AT TIME ZONE 'UTC')"
        )
        assert liveness.dead_runs(connection) == []
        assert not liveness.daemon_is_alive(connection)
        connection.execute(
            "INSERT INTO dagster.daemon_heartbeats (daemon_type, timestamp) VALUES ('SENSOR', clock_timestamp() AT TIME ZONE 'UTC')"
        )
        assert liveness.daemon_is_alive(connection)


def test_checks_that_failed_last_are_named(operated: Web) -> None:
    told = operated.json("/status")["failed_checks"]
    assert [(check["asset"], check["name"], check["run_id"], check["checked_at"]) for check in told] == [
        ("bot_metrics", "tickers_sum_to_the_bot", "2", "2025-03-01T00:02:00Z"),
        ("trades", "quarantine_is_empty", "", "2025-03-01T00:03:00Z"),
    ]
    text = operated.get("/operations").text
    assert "<strong>tickers_sum_to_the_bot</strong>" in text
    assert "figures_are_possible" not in text


def test_what_doctor_finds_is_told_with_its_remedy(operated: Web) -> None:
    found = findings(operated)
    assert list(found) == [
        "Transaction ids",
        "Bots",
        *(f"Results: {family}" for family in ("market", "ranking", "beliefs")),
        "Live listener",
        "Runs",
        "Locks",
        "Webhook",
        "Clock",
        "Disk",
        "Backup",
    ]
    assert found["Runs"]["found"] == "1 started, whose process was killed or crashed: 33333333-c"
    assert (found["Runs"]["level"], found["Backup"]["level"], found["Clock"]["level"]) == ("not ok", "warning", "ok")
    text = operated.get("/operations").text
    assert "knowdefeat up marks them as failed within two minutes" in text
    assert "Make one: knowdefeat db backup FILE" in text


def test_stale_days_are_told(operated: Web) -> None:
    before = findings(operated)["Results: ranking"]["found"]
    with connect(operated.url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price) "
            "VALUES (1, 'BTC-USD', 'LONG', '2025-02-20 09:00Z', 100, 100, 'closed', '2025-02-20 10:00Z', 101)"
        )
    after = findings(operated)["Results: ranking"]
    assert (after["level"], after["found"] != before) == ("not ok", True)
    assert "2025-02-20 to" in after["found"]
    assert after["found"] in operated.get("/operations").text


def test_the_age_of_the_last_backup_is_told(operated: Web, tmp_path: Path) -> None:
    assert operated.json("/status")["last_backup_at"] is None
    file = tmp_path / "knowdefeat.backup"
    file.touch()
    with connect(operated.url) as connection:
        note_backup(tmp_path, file, origin_of(connection))
    assert findings(operated)["Backup"]["level"] == "ok"
    note = json.loads((tmp_path / NOTE).read_text())
    old = datetime.now(UTC) - timedelta(days=9)
    (tmp_path / NOTE).write_text(json.dumps(note | {"at": old.isoformat()}))
    backup = findings(operated)["Backup"]
    assert (backup["level"], "9 days ago" in backup["found"]) == ("warning", True)
    assert old.strftime("%Y-%m-%d %H:%M") in operated.get("/operations").text


def test_sizes_are_those_of_the_database(operated: Web) -> None:
    tables = operated.json("/status")["tables"]
    names = [of["table"] for of in tables]
    sizes = dict(
        operated.rows(
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)", names
        )
    )
    assert {of["table"]: of["bytes"] for of in tables} == sizes
    assert [of["bytes"] for of in tables] == sorted(sizes.values(), reverse=True)
    assert {"trades", "bot_metrics_rows"} <= {of["table"] for of in tables}
    assert all(of["database_bytes"] > sum(sizes.values()) for of in tables)


def test_of_an_empty_database_it_is_told_too(empty_web: Web) -> None:
    text = empty_web.get("/operations").text
    assert "Nothing has been computed yet" in text
    assert "No run of Dagster" in text


def test_the_role_of_the_pages_reads_all_of_it(operated: Web, tmp_path: Path) -> None:
    with connect(operated.url) as connection:
        establish(connection)
    with served(operated.url, role_url(operated.url, Passwords(tmp_path / "roles"))) as web:
        told, whole = web.json("/status"), operated.json("/status")
        assert len(told["runs"]) == 4
        for part in ("counts", "assets", "runs", "failed_checks"):
            assert told[part] == whole[part], part
        assert {of["subject"]: of["level"] for of in told["findings"]}["Runs"] == "not ok"
        web.get("/operations")
    with connect(operated.url) as connection:
        connection.execute("REVOKE ALL ON SCHEMA dagster FROM knowdefeat_web")
    with served(operated.url, role_url(operated.url, Passwords(tmp_path / "roles"))) as web:
        assert web.json("/status")["runs"] == []  # of what it may not see it says nothing
