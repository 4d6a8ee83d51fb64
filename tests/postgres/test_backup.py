"""Backup and restore with real programs: from one server to a new one, whose transactions count from the beginning."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres.backup import BackupError, backup, restore
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.migrations import MigrationError
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.staleness import RANKING, Staleness, settle, stale_days
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 3, 1, tzinfo=UTC)
NOW = END + timedelta(hours=12)
FIRST, LAST = date(2025, 2, 21), date(2025, 3, 1)
# What a server of its own numbers: these are translated, or folded anew.
NUMBERED = {
    ("trades", "recorded_xid"),
    ("refreshed_days", "seen"),
    ("refreshed_days", "recorded_xid"),
    ("settled_changes", "seen"),
    ("input_changes", "recorded_xid"),
    ("weight_versions", "recorded_xid"),
    ("fund_settings", "recorded_xid"),
    ("bot_events", "recorded_xid"),
    ("trade_scores", "recorded_xid"),
    ("price_bars", "recorded_xid"),
    ("order_book_levels", "recorded_xid"),
}
FOLDED = {"bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state"}


@pytest.fixture
def source(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in use: trades, results, a run of Dagster's; its transactions far beyond those of a new server."""
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path))
    with connect(database) as connection:
        connection.execute("DO $$ BEGIN FOR n IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    load_trades(database, read_frame(simulate("base", bots=3, days=8, seed=3, end=END).trades, "simulator", NOW), "f")
    compute(database, monkeypatch)
    with connect(database) as connection:
        assert not look(connection)
    return database


def compute(url: str, monkeypatch: pytest.MonkeyPatch, first: date = FIRST, last: date = LAST) -> None:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", url)
    definitions = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=NOW.isoformat())})
    with open_instance() as instance:
        refresh_days(definitions, instance, first, last)


@pytest.fixture
def new_server() -> Iterator[str]:
    """The empty database of a server that was never used."""
    # Not in tmp_path: whoever starts pytest meanwhile closes its folder to the account that runs the server.
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as home:
        server = EmbeddedPostgres(Path(home))
        yield server.ensure_running()
        server.stop()


def tables(connection: psycopg.Connection) -> dict[str, list]:
    """All rows of all tables, ours and Dagster's, but for the columns that a server numbers."""
    names = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dagster') ORDER BY 1, 2"
    ).fetchall()
    held = {}
    for schema, table in names:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = (%s, %s) ORDER BY 1",
            (schema, table),
        ).fetchall()
        kept = ", ".join(f'"{name}"' for (name,) in columns if (table, name) not in NUMBERED)
        statement = f'SELECT row_to_json(r)::text FROM (SELECT {kept} FROM {schema}."{table}") AS r ORDER BY 1'
        held[f"{schema}.{table}"] = connection.execute(statement).fetchall()
    return held


def close(connection: psycopg.Connection, exit_time: datetime) -> None:
    connection.execute(
        "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
        " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
        (exit_time - timedelta(hours=1), exit_time),
    )


def look(connection: psycopg.Connection) -> Staleness:
    """What is stale of the ranking; what is settled is noted down, as whoever asks does."""
    found = stale_days(connection, RANKING, NOW)
    settle(connection, found)
    return found


def test_restored_into_a_new_server_everything_is_there_and_goes_on(
    source: str, new_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "knowdefeat.dump"
    size = backup(source, file)
    assert size == file.stat().st_size > 50_000
    assert file.stat().st_mode & 0o777 == 0o600
    restore(new_server, file)
    with connect(source) as one, connect(new_server) as other:
        before, after = tables(one), tables(other)
        assert before["public.trades"]
        assert before["public.bot_months_state"]
        assert len(before["dagster.runs"]) == 1
        differing = {name for name in before | after if before.get(name) != after.get(name)}
        assert differing <= {f"public.{name}" for name in FOLDED}
        assert (look(other).days, look(other).computed_days) == ((), 9)
        close(other, NOW - timedelta(days=1, minutes=5))
        found = look(other)
        assert (found.first, found.last, found.trades) == (date(2025, 2, 28), LAST, 1)
        close(one, NOW - timedelta(days=1, minutes=5))
    for url in (source, new_server):
        compute(url, monkeypatch, found.first, found.last)
    with connect(source) as one, connect(new_server) as other:
        metrics = "SELECT * FROM bot_metrics ORDER BY day, bot_id, ticker"
        assert one.execute(metrics).fetchall() == other.execute(metrics).fetchall()
        assert not look(other)
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", new_server)
    with open_instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert len(instance.get_materialized_partitions(dg.AssetKey("bot_rankings"))) == 9


def test_trades_that_no_result_had_seen_are_pending_after_the_restore(
    source: str, new_server: str, tmp_path: Path
) -> None:
    with connect(source) as connection:
        close(connection, NOW - timedelta(days=2, minutes=5))
    backup(source, tmp_path / "dump")
    restore(new_server, tmp_path / "dump")
    with connect(new_server) as connection:
        found = look(connection)
    assert (found.first, found.last, found.trades) == (date(2025, 2, 27), LAST, 1)


def test_on_the_same_server_nothing_is_renumbered(source: str, empty_database: str, tmp_path: Path) -> None:
    backup(source, tmp_path / "dump")
    restore(empty_database, tmp_path / "dump")
    statement = "SELECT trade_id, recorded_xid::text FROM trades ORDER BY 1"
    with connect(source) as one, connect(empty_database) as other:
        assert one.execute(statement).fetchall() == other.execute(statement).fetchall()
        assert tables(one) == tables(other)
        assert not look(other)


def test_every_column_that_a_server_numbers_is_known(database: str) -> None:
    with connect(database) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_schema, table_name) "
            "WHERE udt_name IN ('xid8', 'pg_snapshot') AND table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
    # A new one belongs into sql/queries/postgres/renumber_transactions.sql, foreign_transactions.sql and here.
    folded = {("bot_months_state", "recorded_below"), ("belief_checkpoints_state", "seen")}
    assert set(found) == NUMBERED | folded


def test_a_database_that_holds_something_is_left_alone(source: str, database: str, tmp_path: Path) -> None:
    backup(source, tmp_path / "dump")
    with pytest.raises(BackupError, match=r"holds \d+ tables already"):
        restore(database, tmp_path / "dump")


def test_a_file_is_never_overwritten_and_half_a_file_never_left(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dump"
    file.write_text("precious")
    with pytest.raises(BackupError, match="exists already"):
        backup(source, file)
    assert file.read_text() == "precious"
    with pytest.raises(BackupError, match="cannot be written: No such file or directory"):
        backup(source, tmp_path / "nowhere" / "dump")
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")  # pg_dump cannot connect
    with pytest.raises(BackupError, match=r"pg_dump failed: .*no_such_setting") as failure:
        backup(source, tmp_path / "other")
    assert "password" not in str(failure.value)
    assert not [*tmp_path.glob("other*")]


def test_what_is_no_backup_changes_nothing(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no file"):
        restore(empty_database, tmp_path / "dump")
    (tmp_path / "dump").write_text("letters")
    with pytest.raises(BackupError, match=r"pg_restore failed: .*not appear to be a valid archive"):
        restore(empty_database, tmp_path / "dump")
    with pytest.raises(MigrationError, match="no KnowDefeat tables yet"):
        backup(empty_database, tmp_path / "empty")
