"""Migrations on real databases: complete or not at all, in order, once."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.postgres import edited, migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.edited import ALSO_RAN
from knowdefeat_pipeline.postgres.migrations import MigrationError, MigrationStatus
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.tables import stored

OUR_FOLDER = ROOT / "sql" / "migrations"
OURS = sorted(path.name[:4] for path in OUR_FOLDER.glob("*.sql"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history of two migrations in place of the project's own."""
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n integer);\n")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (n integer);\n")
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    return tmp_path


def tables(url: str) -> set[str]:
    with connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in found}


def test_the_projects_own_history_runs_once(empty_database: str) -> None:
    assert migrations.status(empty_database) == MigrationStatus(None, OURS[-1], OURS)
    assert migrations.upgrade(empty_database) == OURS
    assert {"bots", "trades", "trade_quarantine", "knowdefeat_version"} <= tables(empty_database)
    assert migrations.status(empty_database) == MigrationStatus(OURS[-1], OURS[-1], [])
    migrations.require_current(empty_database)
    assert migrations.upgrade(empty_database) == []


def test_the_database_fixture_is_current(database: str) -> None:
    migrations.require_current(database)


def test_a_new_file_is_pending_and_then_run_alone(folder: Path, empty_database: str) -> None:
    assert migrations.upgrade(empty_database) == ["0001", "0002"]
    (folder / "0003_third.sql").write_text("ALTER TABLE first ADD COLUMN m integer;")
    assert migrations.status(empty_database) == MigrationStatus("0002", "0003", ["0003"])
    with pytest.raises(MigrationError, match=r"at 0002.*needs 0003.*knowdefeat db migrate"):
        migrations.require_current(empty_database)
    assert migrations.upgrade(empty_database) == ["0003"]


def test_an_unmigrated_database_is_refused_with_the_remedy(folder: Path, empty_database: str) -> None:
    with pytest.raises(MigrationError, match=r"no KnowDefeat tables yet.*knowdefeat db migrate"):
        migrations.require_current(empty_database)


def test_a_failing_file_undoes_the_whole_upgrade_and_is_named_with_its_line(folder: Path, empty_database: str) -> None:
    (folder / "0003_third.sql").write_text(
        "-- größer\nCREATE TABLE third (n integer);\n\nCREATE TABLE oops (n intger);\n"
    )
    with pytest.raises(MigrationError, match=r"0003_third\.sql, line 4 failed(?s:.*)intger"):
        migrations.upgrade(empty_database)
    assert tables(empty_database) == set()
    assert migrations.status(empty_database).current is None


def test_a_failure_after_an_earlier_upgrade_keeps_that_upgrade(folder: Path, empty_database: str) -> None:
    migrations.upgrade(empty_database)
    (folder / "0003_third.sql").write_text("CREATE TABLE third (n integer); INSERT INTO third VALUES (1 / 0);")
    with pytest.raises(MigrationError, match=r"0003_third\.sql failed(?s:.*)division by zero"):
        migrations.upgrade(empty_database)
    assert tables(empty_database) == {"first", "second", "knowdefeat_version", "knowdefeat_migrations"}
    assert migrations.status(empty_database).current == "0002"


def test_files_are_executed_as_they_stand(folder: Path, empty_database: str) -> None:
    (folder / "0003_third.sql").write_text(
        "CREATE VIEW third AS SELECT '50%' AS a, '%s' AS b, ':name' AS c, 5 % 3 AS d, '7'::int AS e, $$x;y$$ AS f;"
    )
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        assert connection.execute("SELECT * FROM third").fetchone() == ("50%", "%s", ":name", 2, 7, "x;y")


def test_concurrent_upgrades_run_each_file_once(folder: Path, empty_database: str) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE third AS SELECT generate_series(1, 50000) AS n;")
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(migrations.upgrade, [empty_database] * 4))
    assert sorted(runs) == [[], [], [], ["0001", "0002", "0003"]]


def test_an_upgrade_waits_only_so_long_for_another(
    folder: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.02)
    with connect(empty_database) as other, other.transaction():
        migrations._lock(other)
        with pytest.raises(MigrationError, match="Another upgrade"):
            migrations.upgrade(empty_database)
    assert migrations.upgrade(empty_database) == ["0001", "0002"]


def test_a_table_in_use_is_waited_for_only_so_long(
    folder: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.upgrade(empty_database)
    (folder / "0003_third.sql").write_text("ALTER TABLE first ADD COLUMN m integer;")
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.02)
    with connect(empty_database) as reader, reader.transaction():
        reader.execute("SELECT * FROM first")
        with pytest.raises(MigrationError, match=r"lock timeout(?s:.*)end the sessions"):
            migrations.upgrade(empty_database)
    assert migrations.upgrade(empty_database) == ["0003"]


def test_a_database_newer_than_the_code_is_refused(folder: Path, empty_database: str) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE third (n integer);")
    migrations.upgrade(empty_database)
    (folder / "0003_third.sql").unlink()
    for function in (migrations.upgrade, migrations.require_current, migrations.status):
        with pytest.raises(MigrationError, match=r"at 0003.*up to 0002.*[Uu]pdate knowdefeat-pipeline"):
            function(empty_database)
    assert "third" in tables(empty_database)


def test_a_migration_that_was_edited_after_it_ran_is_refused(folder: Path, empty_database: str) -> None:
    migrations.upgrade(empty_database)
    ran = (folder / "0001_first.sql").read_bytes()
    (folder / "0003_third.sql").write_text("CREATE TABLE third (n integer);")
    (folder / "0001_first.sql").write_bytes(ran.replace(b"integer", b"bigint"))
    for function in (migrations.upgrade, migrations.require_current, migrations.status):
        with pytest.raises(MigrationError, match=r"0001_first\.sql is not the migration that was applied"):
            function(empty_database)
    assert "third" not in tables(empty_database)
    (folder / "0001_first.sql").write_bytes(ran.replace(b"\n", b"\r\n"))  # as a checkout on Windows has it
    assert migrations.upgrade(empty_database) == ["0003"]


def refusal(url: str) -> str:
    """Why the database is refused, and the way out."""
    with pytest.raises(MigrationError) as found:
        migrations.status(url)
    return str(found.value)


def follow(shown: str) -> None:
    """Run the command at the end of a message."""
    subprocess.run(shown.rpartition(": ")[2], shell=True, check=True, capture_output=True)


@pytest.fixture
def repository(folder: Path) -> Path:
    """The history of two migrations, committed."""
    for arguments in ("init --quiet", "add .", "commit --quiet --message first"):
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        subprocess.run(["git", *who, *arguments.split()], cwd=folder, check=True)
    return folder


def test_an_edited_file_of_a_checkout_is_restored_by_the_command_that_is_shown(
    repository: Path, empty_database: str
) -> None:
    migrations.upgrade(empty_database)
    (repository / "0001_first.sql").write_text("CREATE TABLE first (n bigint);\n")
    shown = refusal(empty_database)
    assert "The file was edited since" in shown
    follow(shown)
    assert migrations.status(empty_database).pending == []


def test_a_database_that_other_code_migrated_is_told_which(repository: Path, empty_database: str) -> None:
    migrations.upgrade(empty_database)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()
    (repository / "0001_first.sql").write_text("CREATE TABLE first (n bigint);\n")
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run(["git", *who, "commit", "--quiet", "--all", "--message", "edited"], cwd=repository, check=True)
    shown = refusal(empty_database)
    assert f"By the code of commit {commit} write a backup: knowdefeat db backup FILE" in shown
    assert "git checkout" not in shown
    assert "checkout HEAD" not in shown


def test_an_edition_that_makes_the_same_tables_counts(empty_database: str) -> None:
    migrations.upgrade(empty_database)
    note = "UPDATE knowdefeat_migrations SET checksum = %s WHERE revision = %s"
    with connect(empty_database) as connection:
        for revision, ran in ALSO_RAN.items():
            assert connection.execute(note, (ran, revision)).rowcount == 1
    assert migrations.status(empty_database).pending == []
    with connect(empty_database) as connection:
        connection.execute(note, ("another", "0043"))
    assert "0043_shards.sql is not the migration that was applied" in refusal(empty_database)


def test_a_checksum_that_no_known_file_has_can_be_forgotten(repository: Path, empty_database: str) -> None:
    """The way out of it works: the statement that is shown, then an upgrade."""
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        connection.execute("UPDATE knowdefeat_migrations SET checksum = 'x' WHERE revision = '0002'")
    shown = refusal(empty_database)
    assert "By the code that did write a backup" in shown
    assert "checkout" not in shown
    statement = shown.partition('db shell -c "')[2].partition('"')[0]
    with connect(empty_database) as connection:
        connection.execute(statement.encode())
    assert migrations.upgrade(empty_database) == []
    assert migrations.status(empty_database).pending == []


def test_of_an_installed_package_the_wheel_is_named(
    repository: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.upgrade(empty_database)
    (repository / "0001_first.sql").write_text("CREATE TABLE first (n bigint);\n")
    monkeypatch.setattr(edited, "IS_INSTALLED", True)
    shown = refusal(empty_database)
    wheel = f"knowdefeat_pipeline-{metadata.version('knowdefeat-pipeline')}-py3-none-any.whl"
    assert f"pip install --force-reinstall --no-deps {wheel}\n" in shown
    assert "By that release write a backup" in shown
    assert "git" not in shown


def test_a_database_without_checksums_takes_those_of_the_files(folder: Path, empty_database: str) -> None:
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        connection.execute("DROP TABLE knowdefeat_migrations")
    assert migrations.status(empty_database).pending == []
    assert migrations.upgrade(empty_database) == []
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n bigint);")
    with pytest.raises(MigrationError, match=r"0002_second\.sql is not the migration"):
        migrations.status(empty_database)


def git(*arguments: str) -> str | None:
    """What git says; None without git, a repository, or what is asked for."""
    try:
        asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout


def test_no_migration_that_has_landed_is_edited() -> None:
    """What is on the main branch may have run somewhere; on that branch itself, what its last commit found there."""
    bases = [base for main in ("origin/main", "main") if (base := git("merge-base", "HEAD", main))]
    if not bases or not (ROOT / ".git").exists():
        pytest.skip("no repository, or one without a main branch")
    base = bases[0].strip()
    if base == (git("rev-parse", "HEAD") or "").strip():
        base = (git("rev-parse", "HEAD^") or base).strip()
    landed = (git("ls-tree", "--name-only", f"{base}:sql/migrations") or "").split()
    assert len(landed) >= 13
    edited = {
        name
        for name in landed
        if (OUR_FOLDER / name).read_text("utf-8") != git("show", f"{base}:sql/migrations/{name}")
    }
    assert edited == set()


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twice.sql", "003_short.sql", "0003-dash.sql"])
def test_a_misnumbered_file_is_named(folder: Path, empty_database: str, name: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"is out of order"):
        migrations.upgrade(empty_database)
    assert tables(empty_database) == set()


def test_an_installation_without_migrations_says_so(folder: Path, empty_database: str) -> None:
    shutil.rmtree(folder)
    with pytest.raises(MigrationError, match="no migrations"):
        migrations.upgrade(empty_database)


def test_a_user_who_may_not_create_tables_is_told(folder: Path, empty_database: str) -> None:
    role = sql.Identifier("knowdefeat_test_reader")
    with connect(empty_database) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            with pytest.raises(MigrationError, match=r"permission denied for schema public(?s:.*)owner"):
                migrations.upgrade(f"{empty_database}?options=-c%20role%3Dknowdefeat_test_reader")
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(role))
    assert tables(empty_database) == set()


def test_an_upgrade_releases_its_lock(folder: Path, empty_database: str) -> None:
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        free = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [migrations._LOCK]).fetchone()
    assert free == (True,)


def test_tables_of_results_have_dead_rows_removed_whatever_their_size(database: str) -> None:
    with connect(database) as connection:
        settings = dict(
            connection.execute(
                "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)",
                (list(map(stored, TABLES)),),
            ).fetchall()
        )
    assert set(settings) == set(map(stored, TABLES))
    replaced = set(settings) - {"fund_settings", "bot_events"}  # to which rows are only added
    for options in (settings[table] for table in replaced):
        assert {"autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=2000"} <= set(options or [])


ONLINE = """CREATE INDEX first_n ON first (n);
CREATE TABLE third (n integer);

-- Afterwards, while others write:
CREATE INDEX CONCURRENTLY IF NOT EXISTS first_of_n ON first (n) INCLUDE (m);
DROP INDEX CONCURRENTLY IF EXISTS first_n;
"""


def indexes(url: str) -> dict[str, bool]:
    """The indexes of the table `first`, and whether each can be used."""
    with connect(url) as connection:
        asked = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'first'::regclass"
        return dict(connection.execute(asked).fetchall())


@pytest.fixture
def online(folder: Path, empty_database: str) -> str:
    """A database at two migrations, with a row, for which a third leaves an index for afterwards."""
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n integer);\nALTER TABLE first ADD m integer;\n")
    migrations.upgrade(empty_database)
    with connect(empty_database) as connection:
        connection.execute("INSERT INTO first VALUES (1, 2)")
    (folder / "0003_online.sql").write_text(ONLINE)
    return empty_database


def test_an_index_is_built_after_the_transaction_while_others_write(online: str) -> None:
    building = "SELECT count(*) FROM pg_stat_progress_create_index WHERE relid = 'first'::regclass"
    with ThreadPoolExecutor(1) as pool, connect(online) as reader, connect(online) as writer:
        with reader.transaction():  # an index that others write to meanwhile waits for whoever began to read before it
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM second")
            running = pool.submit(migrations.upgrade, online)
            while writer.execute(building).fetchone() != (1,):
                assert not running.done()
            writer.execute("SET lock_timeout = '5s'")
            writer.execute("INSERT INTO first VALUES (3, 4)")
            assert not running.done()
        assert running.result(60) == ["0003"]
    assert indexes(online) == {"first_of_n": True}
    assert migrations.upgrade(online) == []


def test_an_index_whose_building_was_broken_off_is_built_by_the_next_upgrade(online: str) -> None:
    with connect(online) as connection:
        connection.execute("INSERT INTO first VALUES (1, 2)")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "finish_indexes", lambda url: None)
        assert migrations.upgrade(online) == ["0003"]
    assert indexes(online) == {"first_n": True}
    with (
        connect(online) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):  # which leaves an index of no use
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY first_of_n ON first (n)")
    assert indexes(online) == {"first_n": True, "first_of_n": False}
    assert migrations.upgrade(online) == []
    assert indexes(online) == {"first_of_n": True}


def test_who_builds_indexes_is_waited_for(online: str) -> None:
    with connect(online) as other, ThreadPoolExecutor(2) as pool:
        other.execute("SELECT pg_advisory_lock(%s)", [migrations._INDEXING])
        both = [pool.submit(migrations.upgrade, online) for _ in range(2)]
        migrated = "SELECT count(*) FROM knowdefeat_migrations WHERE revision = '0003'"
        while other.execute(migrated).fetchone() != (1,):
            assert not all(each.done() for each in both)
        assert indexes(online) == {"first_n": True}
        other.execute("SELECT pg_advisory_unlock(%s)", [migrations._INDEXING])
        assert sorted(each.result(60) for each in both) == [[], ["0003"]]
    assert indexes(online) == {"first_of_n": True}


def test_a_new_database_has_its_indexes_at_once(folder: Path, empty_database: str) -> None:
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n integer);\nALTER TABLE first ADD m integer;\n")
    (folder / "0003_online.sql").write_text(ONLINE)
    with migrations.upgrading(empty_database) as schema:
        assert schema.bring_to() == ["0001", "0002", "0003"]
    assert indexes(empty_database) == {"first_of_n": True}
