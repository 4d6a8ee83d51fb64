"""The commands about roles, over an embedded server of their own and over one that a URL names."""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy.exc
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
from knowdefeat_pipeline.cli.commands.roles import program_url
from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.address import database_url
from knowdefeat_pipeline.postgres.connection import close_idle, connect, open_pool, read_arrow
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres, binaries
from knowdefeat_pipeline.settings import Settings
from tests.cli.conftest import Shell


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of an embedded server. Not in tmp_path, which the account that runs the server may not enter."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as folder:
        yield Path(folder)
        EmbeddedPostgres(Path(folder)).stop()


@pytest.fixture
def embedded(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """`knowdefeat` over an embedded server with every migration."""
    monkeypatch.delenv("KNOWDEFEAT_DATABASE_URL", raising=False)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(home))
    shell = Shell(monkeypatch, capsys, EmbeddedPostgres(home).ensure_running())
    shell("db", "migrate")
    return shell


def started(shell: Shell, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The arguments and environment of the program that the command would become."""
    found: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda program, vector, environment: found.append((vector, dict(environment))))
    shell(*arguments)
    return found[0]


@pytest.mark.parametrize("role", ["owner", "pipeline", "web", "bot", "reader"])
def test_each_role_has_an_address_that_stays_and_works(embedded: Shell, home: Path, role: str) -> None:
    url = embedded("db", "url", "--role", role).strip()
    assert embedded("db", "url", "--role", role).strip() == url
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (f"knowdefeat_{role}", False)
    kept = home / "postgres" / "roles" / f"knowdefeat_{role}"
    assert kept.read_text() == f"*:*:*:knowdefeat_{role}:{conninfo_to_dict(url)['password']}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_a_role_the_address_is_that_of_whoever_may_do_everything(embedded: Shell) -> None:
    assert embedded("db", "url").strip() == embedded.database
    assert conninfo_to_dict(embedded.database)["user"] == "knowdefeat"


CHANGES = {
    "bot": ("SET default_transaction_read_only = on", "default_transaction_read_only=on"),
    "reader": ("SET search_path = nowhere", "search_path=nowhere, search_path=report"),
    "web": ("RESET lock_timeout", "lock_timeout=10s"),
    "pipeline": ("IN DATABASE {} SET statement_timeout = 1", "statement_timeout=1"),
}


@pytest.mark.long
@pytest.mark.parametrize("role", CHANGES)
def test_what_a_role_changed_of_itself_is_told_and_undone_by_rotation(embedded: Shell, role: str) -> None:
    change, told = CHANGES[role]
    with psycopg.connect(embedded("db", "url", "--role", role).strip(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER ROLE knowdefeat_{role} {change.format(connection.info.dbname)}")
    found = roles_told(embedded, status=1)
    assert found["found"] == f"knowdefeat_{role} was given other settings than ours: {told}"
    assert found["remedy"].endswith(f": knowdefeat db rotate {role}")
    embedded("db", "rotate", role)
    assert roles_told(embedded)["found"] == "each has its rights"


def test_a_password_that_a_role_changed_of_itself_is_told_and_undone_by_rotation(embedded: Shell) -> None:
    embedded("db", "role", "bot", "alpha", "--bots", "1")
    with psycopg.connect(embedded("db", "url", "--role", "alpha").strip(), autocommit=True) as connection:
        connection.execute("ALTER ROLE alpha PASSWORD 'x'")
    assert roles_told(embedded, status=1)["found"] == "alpha cannot log in by the password that is kept here"
    embedded("db", "rotate", "alpha")
    assert roles_told(embedded)["found"] == "each has its rights"
    embedded("db", "role", "remove", "alpha")


def roles_told(shell: Shell, status: int = 0) -> dict[str, str]:
    """What doctor says of the roles."""
    shell("doctor", "--json", status=status)
    (found,) = [finding for finding in json.loads(shell.output) if finding["subject"] == "Roles"]
    return found


def test_rotation_prints_the_new_address_and_the_old_one_is_refused(embedded: Shell) -> None:
    old = embedded("db", "url", "--role", "bot").strip()
    new = embedded("db", "rotate", "bot").strip()
    assert new == embedded("db", "url", "--role", "bot").strip() != old
    psycopg.connect(new).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old)


def test_programs_that_run_go_on_by_a_new_password(embedded: Shell, home: Path) -> None:
    settings = Settings.from_environment()
    url, pages = database_url(settings), program_url(settings, "web")
    assert ("password" in conninfo_to_dict(url), "password" in conninfo_to_dict(pages)) == (False, False)
    with connect(url) as before, open_pool(pages, 2) as pool, open_instance() as instance:
        assert (read_arrow(url, "SELECT 1 AS one").to_pylist(), instance.get_runs_count()) == ([{"one": 1}], 0)
        for role in ("pipeline", "web"):
            embedded("db", "rotate", role)
        assert before.execute("SELECT 1").fetchone() == (1,)  # a session that is open stays
        with connect(embedded.database) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename IN ('knowdefeat_pipeline', 'knowdefeat_web')"
            )
        connect(url).close()
        with pool.connection() as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("knowdefeat_web",)
        assert read_arrow(url, "SELECT 1 AS one").to_pylist() == [{"one": 1}]
        with pytest.raises(sqlalchemy.exc.OperationalError):  # its pool hears only now that the session has ended
            instance.get_runs_count()
        assert instance.get_runs_count() == 0


def test_a_password_as_earlier_versions_kept_it_counts_and_is_kept_anew(
    embedded: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, file = Settings.from_environment(), home / "postgres" / "roles" / "knowdefeat_pipeline"
    line = file.read_text()
    password = line.rstrip().rpartition(":")[2]
    file.write_text(f"{password}\n")
    assert conninfo_to_dict(database_url(settings))["password"] == password
    connect(database_url(settings)).close()
    embedded("db", "migrate")
    assert file.read_text() == line
    monkeypatch.setenv("PGPASSWORD", "of another server")  # libpq would take it in the place of the file
    connect(database_url(settings)).close()


def test_a_bot_gets_a_role_of_its_own_which_is_listed_and_removed(embedded: Shell) -> None:
    url = embedded("db", "role", "bot", "momentum", "--bots", "9,7").strip()
    assert embedded("db", "url", "--role", "momentum").strip() == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT own_bots()").fetchone() == ([7, 9],)
    listed = embedded.json("db", "roles")
    assert listed["missing"] is None
    assert [r["role"] for r in listed["roles"]] == ["owner", "pipeline", "web", "bot", "reader", "momentum"]
    assert listed["roles"][-1]["may"] == "adds, closes and reads trades of bots 7, 9"
    embedded("db", "role", "remove", "momentum")
    assert "no role momentum" in embedded("db", "url", "--role", "momentum", status=1)
    for text in ("", "1,,2", "a\x1b[2J"):
        assert "write their names" in embedded("db", "role", "bot", "momentum", "--bots", text, status=2)


def test_the_shell_holds_no_password_among_its_arguments(
    embedded: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role, expected in (((), "knowdefeat"), (("--role", "bot"), "knowdefeat_bot")):
        vector, environment = started(embedded, monkeypatch, "db", "shell", *role)
        assert vector[0] == str(binaries() / "psql")
        assert environment["PGPASSWORD"] not in " ".join(vector)
        done = subprocess.run(
            [*vector, "-XAtc", "SELECT current_user"], env=environment, capture_output=True, text=True
        )
        assert done.stdout == f"{expected}\n"


def test_the_shell_on_another_server_holds_no_password_among_its_arguments(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "psql").symlink_to(binaries() / "psql")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    vector, environment = started(shell, monkeypatch, "db", "shell")
    password = conninfo_to_dict(shell.database)["password"]
    assert vector[0] == str(tmp_path / "psql")
    assert (password in " ".join(vector), environment["PGPASSWORD"]) == (False, password)


def test_passwords_of_another_server_are_kept_by_its_address(shell: Shell, tmp_path: Path) -> None:
    with connect(shell.database) as connection:
        roles.establish(connection)
    url = shell("db", "rotate", "reader").strip()
    parts = conninfo_to_dict(url)
    kept = tmp_path / "home" / "roles" / f"127.0.0.1_{parts['port']}" / "knowdefeat_reader"
    assert kept.read_text() == f"*:*:*:knowdefeat_reader:{parts['password']}\n"
    assert shell("db", "url", "--role", "reader").strip() == url
    assert "There is no role postgres" in shell("db", "rotate", "postgres", status=1)


def test_doctor_says_in_one_sentence_which_roles_are_missing(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def finding() -> dict:
        return next(each for each in json.loads(shell.output) if each["subject"] == "Roles")

    monkeypatch.setattr(roles, "GRANTED", (roles.Role("knowdefeat_stranger", "nothing"),))
    shell("doctor", "--json", status=1)
    assert finding()["found"] == (
        "Roles lack rights in this database: knowdefeat db migrate, as the user who owns its tables, gives them."
    )
    monkeypatch.setattr(roles, "_may_create", lambda connection: False)
    shell("doctor", "--json")
    assert finding()["ok"]
    assert finding()["found"].startswith("knowdefeat_stranger is missing and this user may not create roles")


def test_no_log_of_the_server_holds_a_password(embedded: Shell, home: Path) -> None:
    passwords = {embedded("db", "rotate", role).strip().split(":")[2].split("@")[0] for role in ("web", "bot")}
    log = (home / "postgres" / "server.log").read_text()
    assert not any(password in log for password in passwords)


@pytest.mark.long
def test_a_script_asks_by_the_shell_and_hears_of_a_failure(embedded: Shell, home: Path) -> None:
    def psql(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = "from knowdefeat_pipeline.cli import main; main()"
        command = [sys.executable, "-c", program, "db", "shell", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": str(home)})

    (home / ".psqlrc").write_text("\\timing on\n")
    done = psql("-c", "SELECT count(*) AS trades FROM trades", "-c", "SELECT current_user")
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stdout.splitlines()] == [
        "trades", "--------", "0", "(1 row)", "", "current_user", "--------------", "knowdefeat", "(1 row)", "",
    ]  # fmt: skip
    assert "knowdefeat_reader\n" in psql("--role", "reader", "-c", "SELECT current_user").stdout
    failed = psql("-c", "SELECT nonsense", "-c", "SELECT 'went on'")
    assert failed.returncode == 1
    assert 'column "nonsense" does not exist' in failed.stderr
    assert "went on" not in failed.stdout


def users(home: Path, shell: Shell, *arguments: str) -> Counter[str]:
    """As whom connections were opened to the server while a command ran, as its log tells."""
    log = home / "postgres" / "server.log"
    before = log.stat().st_size
    shell(*arguments)
    return Counter(re.findall(r"connection authorized: user=(\w+)", log.read_bytes()[before:].decode()))


@pytest.mark.long
def test_our_own_programs_work_without_a_superuser(embedded: Shell, home: Path) -> None:
    with connect(embedded.database) as connection:
        connection.execute("ALTER SYSTEM SET log_connections = on")
        connection.execute("SELECT pg_reload_conf()")
    while users(home, embedded, "db", "status").keys() != {"knowdefeat_pipeline"}:  # until the server has read it
        pass
    assert embedded("simulate", "--bots", "3", "--days", "2")
    opened = users(home, embedded, "run")
    assert opened.keys() == {"knowdefeat_pipeline", "knowdefeat_owner", "knowdefeat"}
    assert opened["knowdefeat"] == 1  # which hands over what a superuser made
    for arguments in (["rankings"], ["days"], ["quarantine", "list"], ["imports", "list"], ["funds", "show"]):
        assert users(home, embedded, *arguments).keys() == {"knowdefeat_pipeline"}, arguments
    assert users(home, embedded, "db", "backup", str(home / "file")).keys() <= {*opened}
    found = {finding["subject"]: finding for finding in embedded.json("doctor")}["Connections"]
    assert (found["ok"], found["warning"]) == (True, False)
    assert found["found"].startswith("our own programs are knowdefeat_pipeline; connected: knowdefeat_pipeline (")


OWNERS = """
    SELECT DISTINCT nspname, pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname IN ('public', 'report', 'dagster') AND relkind IN ('r', 'v', 'S') ORDER BY 1, 2
"""
OURS = [("dagster", "knowdefeat_pipeline"), ("public", "knowdefeat_owner"), ("report", "knowdefeat_owner")]


@pytest.mark.long
def test_a_database_that_earlier_versions_made_as_a_superuser_is_handed_over(embedded: Shell, home: Path) -> None:
    with open_instance():  # Dagster's tables are there
        pass
    with connect(embedded.database) as connection:
        connection.execute(
            "REASSIGN OWNED BY knowdefeat_owner, knowdefeat_pipeline TO knowdefeat;"
            " DROP OWNED BY knowdefeat_owner, knowdefeat_pipeline; DROP ROLE knowdefeat_owner, knowdefeat_pipeline"
        )
        assert connection.execute(OWNERS).fetchall() == [(schema, "knowdefeat") for schema, _ in OURS]
    for kept in (home / "postgres" / "roles").iterdir():
        kept.unlink()
    close_idle()  # a session of a role that is gone
    embedded("db", "migrate")
    with connect(embedded.database) as connection:
        assert connection.execute(OWNERS).fetchall() == OURS
    with open_instance() as instance:
        assert instance.get_runs_count() >= 0
    assert embedded("run", "--json")
    assert roles_told(embedded)["found"] == "each has its rights"


def test_a_password_of_our_own_programs_that_somebody_changed_is_told_with_the_way_out(embedded: Shell) -> None:
    with connect(embedded.database) as connection:
        connection.execute("ALTER ROLE knowdefeat_pipeline PASSWORD 'x'")
    assert "knowdefeat db rotate" in embedded("db", "status", status=1)
    assert roles_told(embedded, status=1)["found"] == (
        "knowdefeat_pipeline cannot log in by the password that is kept here"
    )
    embedded("db", "rotate", "pipeline")
    embedded("db", "status")
