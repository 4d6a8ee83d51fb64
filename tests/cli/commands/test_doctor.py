"""`knowdefeat doctor`: what it looks at, and what it says to do."""

import json

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell


def findings(shell: Shell, status: int = 0) -> dict[str, list[dict]]:
    """By subject."""
    shell("doctor", "--json", status=status)
    found: dict[str, list[dict]] = {}
    for finding in json.loads(shell.output):
        found.setdefault(finding["subject"], []).append(finding)
    return found


def test_everything_is_as_it_should_be(shell: Shell) -> None:
    found = findings(shell)
    results = [f"Results: {family}" for family in ("market", "ranking", "beliefs")]
    assert list(found) == [
        "Python",
        "Packages",
        "Settings",
        "Home",
        "Database",
        "Schema",
        "Transaction ids",
        *results,
        "Dagster home",
    ]
    assert all(finding["ok"] for each in found.values() for finding in each)
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


def test_an_empty_database_lacks_the_schema(new_shell: Shell) -> None:
    (schema,) = findings(new_shell, status=1)["Schema"]
    assert (schema["ok"], schema["remedy"]) == (False, "Run: knowdefeat db migrate")
    assert schema["found"].startswith("none; pending: 0001, ")


def test_another_dagster_home_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    (home,) = findings(shell, status=1)["Dagster home"]
    assert home["found"] == "DAGSTER_HOME is /elsewhere"
