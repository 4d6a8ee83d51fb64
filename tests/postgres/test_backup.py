"""Backup and restore with real programs: from one server to a new one, whose transactions count from the beginning."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest

from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.automation.runs import refresh_days
from knowdefeat_pipeline.build import build_defs
from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import archive, migrations
from knowdefeat_pipeline.postgres.backup import BackupError, backup, restore
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.migrations import MigrationError
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres, binaries
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.staleness import RANKING, Staleness, settle, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.postgres.poolers import needs_pooler, pooler

END = datetime(2025, 3, 1, tzinfo=UTC)
NOW = END + timedelta(hours=12)
FIRST, LAST = date(2025, 2, 21), date(2025, 3, 1)
# Folded anew where a server of its own numbers transactions.
FOLDED = {"bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state", "input_changes"}


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


def table_names(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dagster')"
        " AND tablename NOT IN ('cluster_identity', 'knowdefeat_migrations') ORDER BY 1, 2"
    ).fetchall()


def bits(connection: psycopg.Connection) -> dict[str, list]:
    """Every row of every table as the server writes it, what a server numbers included; and the sequences."""
    held = {
        f"{schema}.{table}": connection.execute(
            f'SELECT t::text FROM {schema}."{table}" AS t ORDER BY t::text COLLATE "C"'
        ).fetchall()
        for schema, table in table_names(connection)
    }
    sequences = "SELECT schemaname, sequencename, data_type::text, last_value FROM pg_sequences ORDER BY 1, 2"
    return held | {"sequences": connection.execute(sequences).fetchall()}


def made_of(connection: psycopg.Connection) -> dict[str, list]:
    """What Dagster's tables are made of, by the views of the SQL standard and PostgreSQL's."""
    statements = {
        "columns": "SELECT table_name, column_name, column_default, is_nullable, udt_name, character_maximum_length"
        " FROM information_schema.columns WHERE table_schema = 'dagster'",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'dagster'",
        "constraints": "SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints"
        " WHERE table_schema = 'dagster' AND constraint_type <> 'CHECK'",
        "owned": "SELECT s.sequencename, pg_get_serial_sequence('dagster.' || c.table_name, c.column_name)"
        " FROM pg_sequences AS s JOIN information_schema.columns AS c ON c.table_schema = 'dagster'"
        " AND pg_get_serial_sequence('dagster.' || c.table_name, c.column_name) = 'dagster.' || s.sequencename",
        "note": "SELECT obj_description('dagster'::regnamespace, 'pg_namespace')",
    }
    return {name: sorted(connection.execute(text).fetchall(), key=repr) for name, text in statements.items()}


def tables(connection: psycopg.Connection) -> dict[str, list]:
    """All rows of all tables, ours and Dagster's, but for the columns that a server numbers."""
    held = {}
    for schema, table in table_names(connection):
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = (%s, %s)"
            " AND udt_name NOT IN ('xid8', 'pg_snapshot') ORDER BY 1",
            (schema, table),
        ).fetchall()
        kept = ", ".join(f'"{name}"' for (name,) in columns)
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


@pytest.mark.long
def test_restored_into_a_new_server_everything_is_there_and_goes_on(
    source: str, new_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "knowdefeat.backup"
    size = backup(source, file)
    assert size == file.stat().st_size > 20_000
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


def test_on_the_same_server_every_bit_is_as_it_was(source: str, empty_database: str, tmp_path: Path) -> None:
    with connect(source) as connection:
        connection.execute(
            "INSERT INTO trade_quarantine (source, file_name, row_number, reason, message, original, layout) VALUES"
            " ('s', 'f', 1, 'no price', E'tab\\t, line\\n, \\\\N, \\\\., é', '{\"a\": \"\\\\n\"}', '{}')"
        )
        connection.execute("UPDATE bots SET is_active = false WHERE bot_id = 1")  # leaves an event
        connection.execute("SELECT nextval('trade_quarantine_quarantine_id_seq') FROM generate_series(1, 6)")
    backup(source, tmp_path / "file")
    assert restore(empty_database, tmp_path / "file") == []
    with connect(source) as one, connect(empty_database) as other:
        before, after = bits(one), bits(other)
        assert before == after
        assert len(before["public.trades"]) > 20
        assert len(before["public.trade_quarantine"]) == 1
        assert len(before["public.bot_events"]) == 1
        assert len(before["public.weight_versions"]) == 1
        assert len(before["dagster.event_logs"]) > 20
        assert ("public", "trade_quarantine_quarantine_id_seq", "bigint", 7) in after["sequences"]
        made = made_of(one)
        assert made == made_of(other)
        assert len(made["owned"]) > 10
        assert made["note"] == [("Dagster's tables, all of them",)]
        assert other.execute("SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'").fetchone() == (0,)
        assert look(other).trades == 0
        close(other, NOW - timedelta(days=1, minutes=5))
        assert look(other).trades == 1


def test_a_database_that_holds_something_is_left_alone(source: str, database: str, tmp_path: Path) -> None:
    backup(source, tmp_path / "dump")
    with pytest.raises(BackupError, match=r"holds \d+ tables already"):
        restore(database, tmp_path / "dump")


def test_a_file_is_never_overwritten_and_half_a_file_never_left(source: str, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text("precious")
    with pytest.raises(BackupError, match="exists already"):
        backup(source, file)
    assert file.read_text() == "precious"
    with pytest.raises(BackupError, match="cannot be written: No such file or directory"):
        backup(source, tmp_path / "nowhere" / "dump")
    with connect(source) as connection:
        connection.execute("CREATE VIEW hidden AS SELECT * FROM trades")
        connection.execute("ALTER TABLE bots ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE bots FORCE ROW LEVEL SECURITY")
        connection.execute("CREATE ROLE knowdefeat_test_reader LOGIN PASSWORD 'reader'")
        try:
            connection.execute("GRANT pg_read_all_data TO knowdefeat_test_reader")
            parts = urlsplit(source)
            reader = parts._replace(netloc=f"knowdefeat_test_reader:reader@{parts.hostname}:{parts.port}").geturl()
            with pytest.raises(BackupError, match=r'(?s)may not read everything: .*row-level security.*"bots".*owner'):
                backup(reader, tmp_path / "other")  # rather than a file without the rows that are hidden from it
        finally:
            connection.execute("DROP OWNED BY knowdefeat_test_reader")
            connection.execute("DROP ROLE knowdefeat_test_reader")
    assert not [path for path in tmp_path.iterdir() if "other" in path.name]


def test_what_is_no_backup_changes_nothing(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="There is no file"):
        restore(empty_database, tmp_path / "dump")
    (tmp_path / "dump").write_text("letters")
    with pytest.raises(BackupError, match="is no backup: it begins neither as knowdefeat db backup"):
        restore(empty_database, tmp_path / "dump")
    with pytest.raises(MigrationError, match="no KnowDefeat tables yet"):
        backup(empty_database, tmp_path / "empty")


def rewritten(file: Path, changed: Path, member: str, change) -> Path:
    """The archive with one member changed, as a whole ZIP whose own checksums agree."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name == member else data)
    return changed


def is_empty(url: str) -> bool:
    with connect(url) as connection:
        return connection.execute(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
        ).fetchone() == (0,)


def test_an_archive_that_was_cut_short_or_changed_is_refused_by_the_name_of_the_table(
    source: str, empty_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    backup(source, file)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        trades = archive.getinfo("tables/trades")
    refused = {}
    for name, data in {
        "half": whole[: len(whole) // 2],
        "all but the last byte": whole[:-1],
        "a bit of the trades": whole[: trades.header_offset + 500]
        + bytes([whole[trades.header_offset + 500] ^ 4])
        + whole[trades.header_offset + 501 :],
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BackupError) as refusal:
            restore(empty_database, tmp_path / name)
        refused[name] = str(refusal.value)
    assert re.search("cut short or changed: the list of its tables, at its end", refused["half"])
    assert re.search("cut short or changed", refused["all but the last byte"])
    assert re.search(
        "changed: the table trades is not what was written .*Take another copy", refused["a bit of the trades"]
    )
    # A changed number that the ZIP's own checksum knows nothing of, a row less, a row more in the manifest.
    price = rewritten(file, tmp_path / "price", "tables/trades", lambda data: data.replace(b"closed", b"opened", 1))
    with pytest.raises(BackupError, match=r"the table trades is not .*checksum"):
        restore(empty_database, price)
    row = rewritten(file, tmp_path / "row", "tables/bots", lambda data: data[: data.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(BackupError, match=r"the table bots is not .*checksum"):
        restore(empty_database, row)
    newer = rewritten(
        file,
        tmp_path / "newer",
        "manifest.json",
        lambda data: json.dumps(json.loads(data) | {"revision": "9999"}).encode(),
    )
    with pytest.raises(BackupError, match=r"schema is at 9999, .*a newer version wrote it\. Update"):
        restore(empty_database, newer)
    other = rewritten(file, tmp_path / "other", "manifest.json", lambda data: b"{}")
    with pytest.raises(BackupError, match="no backup of KnowDefeat, or was changed: its manifest"):
        restore(empty_database, other)
    assert is_empty(empty_database)
    restore(empty_database, file)


KILLED = """
import os, signal, sys
from pathlib import Path
from knowdefeat_pipeline.postgres import archive, backup, identity
what, url, file, where = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
module, name = {"check": (archive, "check"), "fill": (backup, "_fill_dagster"), "record": (identity, "record")}[where]
setattr(module, name, die)
getattr(backup, what)(url, Path(file))
"""


def killed(what: str, url: str, file: Path, where: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, what, url, str(file), where], timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_backup_leaves_nothing_under_its_name_and_the_next_one_removes_the_rest(
    source: str, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    killed("backup", source, folder / "monday", "check")  # written, not yet checked
    (left,) = folder.iterdir()
    assert left.name.startswith(".monday.")
    backup(source, folder / "tuesday")
    assert [path.name for path in folder.iterdir()] == ["tuesday"]


# A process that is told seconds and a file by its input, makes a backup to it in a child of its own, which the kernel ends
# after so many seconds (0: never) as by SIGKILL, and says how it ended.
BACKUPS = """
import os, signal, sys
from pathlib import Path
from knowdefeat_pipeline.postgres.backup import backup
for line in sys.stdin:
    seconds, _, file = line.strip().partition(" ")
    child = os.fork()
    if not child:
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        backup(sys.argv[1], Path(file))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def ended(process: subprocess.Popen[str], file: Path, seconds: float = 0.0) -> int:
    """How a backup to that file ended, which was killed after so many seconds."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{seconds:.6f} {file}\n")
    process.stdin.flush()
    return int(process.stdout.readline())


@pytest.mark.long
def test_a_backup_killed_at_any_instant_leaves_a_whole_file_under_its_name_or_none(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    command = [sys.executable, "-c", BACKUPS, source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert ended(process, folder / "first") == 0
        began = time.perf_counter()
        assert ended(process, folder / "second") == 0
        whole = time.perf_counter() - began
        random = Random(20)
        files = [folder / f"{number}" for number in range(20)]
        statuses = [ended(process, file, random.uniform(0.001, 1.2 * whole)) for file in files]
        assert process.stdin is not None
        process.stdin.close()
    named = {path for path in folder.iterdir() if not path.name.startswith(".")}
    kept = archive.check(folder / "first")
    for path in named:
        assert [(part.name, part.rows) for part in archive.check(path).parts] == [
            (part.name, part.rows) for part in kept.parts
        ]
    assert {file for file, status in zip(files, statuses, strict=True) if status == 0} <= named  # as they were told
    assert set(statuses) <= {0, -signal.SIGALRM}
    assert statuses.count(-signal.SIGALRM) >= 5
    backup(source, folder / "last")
    assert {path for path in folder.iterdir() if path.name.startswith(".")} == set()


@pytest.mark.long
@pytest.mark.parametrize("where", ["fill", "record"])
def test_a_restore_killed_before_its_end_leaves_an_empty_database(
    source: str, new_server: str, tmp_path: Path, where: str
) -> None:
    backup(source, tmp_path / "file")
    killed("restore", new_server, tmp_path / "file", where)
    deadline = time.monotonic() + 10
    while not is_empty(new_server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_empty(new_server)
    restore(new_server, tmp_path / "file")
    with connect(new_server) as connection:
        assert not look(connection)
        close(connection, NOW - timedelta(days=1, minutes=5))
        assert look(connection).trades == 1


def test_a_lost_connection_is_a_sentence_and_leaves_an_empty_database(
    source: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(source, tmp_path / "file")

    def end_session(connection: psycopg.Connection, *_: object) -> None:
        with connect(source) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))

    monkeypatch.setattr("knowdefeat_pipeline.postgres.backup._fill_dagster", end_session)
    with pytest.raises(BackupError, match="as empty as before: "):
        restore(empty_database, tmp_path / "file")
    assert is_empty(empty_database)


@pytest.mark.long
@needs_pooler
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_on_the_way_changes_nothing(source: str, empty_database: str, tmp_path: Path, mode: str) -> None:
    """Backup and restore each need one transaction, and no session beyond it."""
    with pooler(source, tmp_path, mode) as url:
        backup(url, tmp_path / "file")
    (tmp_path / "back").mkdir()
    with pooler(empty_database, tmp_path / "back", mode) as url:
        restore(url, tmp_path / "file")
    with connect(source) as one, connect(empty_database) as other:
        assert bits(one) == bits(other)
        close(other, NOW - timedelta(days=1, minutes=5))
        assert look(other).trades == 1


@pytest.mark.long
def test_tables_of_others_in_our_schema_are_left_out_and_named(
    source: str, empty_database: str, tmp_path: Path
) -> None:
    with connect(source) as connection:
        connection.execute("CREATE TABLE holidays (day date)")
    backup(source, tmp_path / "file")
    assert restore(empty_database, tmp_path / "file") == ["holidays"]


def test_a_dump_of_pg_dump_is_restored_too(source: str, new_server: str, tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    subprocess.run([str(binaries() / "pg_dump"), "--format=custom", f"--file={dump}", source], check=True)
    restore(new_server, dump)
    with connect(source) as one, connect(new_server) as other:
        assert (
            one.execute("SELECT count(*) FROM trades").fetchone()
            == other.execute("SELECT count(*) FROM trades").fetchone()
        )
        assert not look(other)
        close(other, NOW - timedelta(days=1, minutes=5))
        assert look(other).trades == 1


@pytest.mark.long
def test_a_backup_of_an_older_schema_is_brought_up_to_date(
    source: str, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(source, tmp_path / "file")
    newer = tmp_path / "migrations"
    shutil.copytree(migrations.MIGRATIONS, newer)
    number = f"{int(migrations.revisions()[-1]) + 1:04}"
    (newer / f"{number}_notes.sql").write_text(
        "ALTER TABLE bots ADD COLUMN note text; UPDATE bots SET note = 'bot ' || bot_id; CREATE TABLE notes (note text);"
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", newer)
    restore(empty_database, tmp_path / "file")
    with connect(empty_database) as connection:
        assert migrations.status(empty_database).current == number
        notes = "SELECT bot_id, note FROM bots ORDER BY 1"
        assert connection.execute(notes).fetchall() == [(1, "bot 1"), (2, "bot 2"), (3, "bot 3")]
    backup(empty_database, tmp_path / "newer")
    monkeypatch.undo()
    with connect(empty_database) as connection:
        connection.execute("DROP SCHEMA public CASCADE; DROP SCHEMA dagster CASCADE; CREATE SCHEMA public")
    with pytest.raises(BackupError, match=rf"schema is at {number}, and this version of the code knows it up to"):
        restore(empty_database, tmp_path / "newer")
