"""What commands may do to the schema: `run`, `up` and `db migrate` upgrade it, input creates it, nothing else does."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from tests.cli.conftest import Shell

READS = [
    ("rankings",), ("metrics",), ("streaks",), ("days",), ("regimes",), ("weights",), ("beliefs",), ("bots",),
    ("funds", "show"), ("allocate", "--funds", 1), ("quarantine", "list"), ("backtest",), ("live",),
    ("weights", "reset"), ("bots", "history"), ("beliefs", "ledger"), ("backfill", "--all"), ("db", "backup", "x.dump"),
]  # fmt: skip


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    path = tmp_path / "trades.csv"
    simulate("base", bots=2, days=3, seed=2, end=datetime(2025, 3, 1, tzinfo=UTC)).trades.to_csv(path, index=False)
    return path


@pytest.fixture
def older_shell(shell: Shell) -> Shell:
    """`knowdefeat` over a database whose schema is one migration behind the code."""
    latest = migrations.status(shell.database).latest
    with connect(shell.database) as connection:
        connection.execute("UPDATE knowdefeat_version SET version_num = %s", (f"{int(latest) - 1:04}",))
    return shell


@pytest.mark.parametrize("command", READS, ids=lambda command: " ".join(map(str, command)))
def test_what_reads_or_decides_makes_no_table_and_says_what_to_do(
    new_shell: Shell, command: tuple[object, ...]
) -> None:
    message = new_shell(*command, status=1)
    assert "The database has no KnowDefeat tables yet" in message
    assert "knowdefeat run" in message
    with connect(new_shell.database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize("command", READS, ids=lambda command: " ".join(map(str, command)))
def test_an_older_schema_is_upgraded_by_nothing_that_reads_or_decides(
    older_shell: Shell, command: tuple[object, ...]
) -> None:
    assert "Run: knowdefeat db migrate" in older_shell(*command, status=1)
    assert len(migrations.status(older_shell.database).pending) == 1


def test_input_creates_the_schema_where_there_is_none_and_upgrades_no_other(
    new_shell: Shell, older_shell: Shell, trades_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (("ingest", trades_file), ("simulate", "--bots", 2, "--days", 3)):
        monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", older_shell.database)
        assert "Run: knowdefeat db migrate" in older_shell(*command, status=1)
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", new_shell.database)
    assert new_shell.json("ingest", trades_file)[0]["inserted"] > 0
    assert migrations.status(new_shell.database).pending == []


def test_a_question_at_the_start_is_asked_again_where_the_connection_breaks(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_current, asked = migrations.require_current, []

    def broken_at_first(url: str) -> None:
        asked.append(url)
        if len(asked) == 1:
            with connect(url) as connection:
                connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        require_current(url)

    monkeypatch.setattr(migrations, "require_current", broken_at_first)
    shell("quarantine", "list")
    assert asked == [shell.database] * 2


def test_a_migration_that_is_killed_is_a_sentence_and_leaves_the_database_as_it_was(
    new_shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_first.sql").write_text(
        "CREATE TABLE first (n integer); SELECT pg_terminate_backend(pg_backend_pid());"
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    message = new_shell("db", "migrate", status=1)
    assert "The connection broke during the upgrade, of which all or nothing was done" in message
    assert "Run again: knowdefeat db migrate" in message
    assert "Traceback" not in message
    with connect(new_shell.database) as connection:
        assert connection.execute("SELECT to_regclass('first')").fetchone() == (None,)


def test_a_role_without_temporary_tables_is_told_what_to_grant(
    shell: Shell, trades_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, role = str(conninfo_to_dict(shell.database)["dbname"]), "knowdefeat_test_plain"
    with connect(shell.database) as connection:
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'")
    try:
        place = urlsplit(shell.database)
        monkeypatch.setenv(
            "KNOWDEFEAT_DATABASE_URL", place._replace(netloc=f"{role}:plain@{place.hostname}:{place.port}").geturl()
        )
        for command in (("ingest", trades_file), ("run",)):
            message = " ".join(shell(*command, status=1).split())
            assert f"The role {role} may make no temporary tables in the database {name}, and loading" in message
            assert message.endswith(
                f'As its owner, run: GRANT TEMPORARY ON DATABASE "{name}" TO "{role}" More: docs/guides/database.md'
            )
    finally:
        with connect(shell.database) as connection:
            connection.execute(f"DROP ROLE {role}")


@pytest.mark.long
def test_the_address_and_state_of_a_database_need_no_schema(new_shell: Shell) -> None:
    assert new_shell("db", "url").strip() == new_shell.database
    state = new_shell.json("db", "status")
    assert (state["revision"], state["pending"][0]) == (None, "0001")
    migrated = new_shell.json("db", "migrate")
    assert migrated["applied"] == state["pending"]
    assert new_shell.json("db", "status")["trades"] == 0
