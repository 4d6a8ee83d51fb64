"""The embedded server, on real processes: started, found, killed, restarted and stopped."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from filelock import FileLock
from psycopg.conninfo import conninfo_to_dict

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres import server as embedded
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable
from knowdefeat_pipeline.postgres.identity import require_own
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres, EmbeddedPostgresError
from knowdefeat_pipeline.settings import ROOT

CLIENT = """
import sys
from pathlib import Path
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).ensure_running(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server of this module's own, in a folder with a space, to be killed and stopped at will."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("a home"))
    postgres.ensure_running()
    yield postgres
    postgres.stop()


@pytest.fixture
def start_client() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts processes that ensure the server, print its URL and then live on. They are ended with the test."""
    clients = []

    def start(home: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CLIENT, str(home)]
        clients.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return clients[-1]

    yield start
    for client in clients:
        client.kill()
        client.communicate()


def url_of(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    return client.stdout.readline().strip()


def pid_of(postgres: EmbeddedPostgres) -> int:
    pid = postgres.status().pid
    assert pid is not None
    return pid


def value(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def home_of(postgres: EmbeddedPostgres) -> Path:
    return postgres.folder.parent


@pytest.mark.long
def test_a_server_is_made_found_and_described(tmp_path: Path) -> None:
    notices: list[str] = []
    postgres = EmbeddedPostgres(tmp_path / "it's a $home", notify=notices.append)
    assert postgres.find() is None
    assert not postgres.status().running
    assert not home_of(postgres).exists()

    url = postgres.ensure_running()
    try:
        parts = conninfo_to_dict(url)
        assert (parts["host"], parts["user"], parts["dbname"]) == ("127.0.0.1", "knowdefeat", "knowdefeat")
        assert postgres.find() == postgres.ensure_running() == url
        assert postgres.url_for("postgres") == url.removesuffix("knowdefeat") + "postgres"
        status = postgres.status()
        assert (status.running, status.port, status.data) == (True, int(str(parts["port"])), postgres.data)
        assert status.url == f"postgresql://knowdefeat@127.0.0.1:{parts['port']}/knowdefeat"
        assert value(url, "SHOW server_version") == status.version

        process = psutil.Process(pid_of(postgres))
        assert os.getsid(process.pid) == process.pid
        assert process.uids().real == (os.geteuid() or postgres.data.stat().st_uid) != 0
        listening = {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        if os.geteuid() == 0:
            assert f"made {tmp_path} traversable (o+x)" in "\n".join(notices)
            assert tmp_path.stat().st_mode & 0o777 == 0o701
            assert str(home_of(postgres)) not in "\n".join(notices)
        # Nobody else looks into the home; the account that runs the server passes through, where it is another one.
        for folder in (home_of(postgres), postgres.folder):
            assert folder.stat().st_mode & 0o777 == (0o701 if os.geteuid() == 0 else 0o700)
        assert postgres.log.stat().st_mode & 0o777 == 0o600
    finally:
        assert postgres.stop()


def test_settings_and_credentials(cluster: EmbeddedPostgres) -> None:
    url = cluster.ensure_running()
    for name, wanted in embedded.SETTINGS.items():
        shown = "pglz" if name == "wal_compression" else wanted
        assert value(url, f"SHOW {name}") == shown
    assert value(url, "SHOW synchronous_commit") == "on"
    assert value(url, "SHOW unix_socket_directories") == ""
    encoding = "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = 'knowdefeat'"
    assert value(url, encoding) == "UTF8 C"
    assert value(url, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == "scram-sha-256"
    assert cluster.password_file.stat().st_mode & 0o777 == 0o600
    assert cluster.data.stat().st_mode & 0o777 == 0o700
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url, password="guess")


def test_logs_that_others_could_read_are_ones_own_after_the_next_start(cluster: EmbeddedPostgres) -> None:
    cluster.ensure_running()
    cluster.stop()
    older = cluster.log.with_suffix(".log.1")
    older.write_text("before")
    for log in (cluster.log, older):
        log.chmod(0o644)
    cluster.ensure_running()
    assert [log.stat().st_mode & 0o777 for log in (cluster.log, older)] == [0o600, 0o600]


@pytest.mark.long
def test_nothing_is_lost_when_the_server_is_killed(cluster: EmbeddedPostgres) -> None:
    url = cluster.ensure_running()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE survivors AS SELECT generate_series(1, 100000) AS n")
    os.kill(pid_of(cluster), signal.SIGKILL)
    assert cluster.ensure_running() == url  # the port too: sessions that hold the URL come back
    assert value(url, "SELECT sum(n) FROM survivors") == 5_000_050_000


def test_busy_orphans_of_a_killed_server_do_not_block_the_next(cluster: EmbeddedPostgres) -> None:
    with closing(psycopg.connect(cluster.ensure_running())) as connection:
        backend = psutil.Process(connection.info.backend_pid)
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        os.kill(pid_of(cluster), signal.SIGKILL)
        assert value(cluster.ensure_running(), "SELECT 1") == 1
        assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE


def leave_in_vain(cluster: EmbeddedPostgres) -> None:
    """A server whose recovery after a crash ends itself: it takes no connection any more, and hears no SIGINT."""
    while True:
        with closing(psycopg.connect(cluster.ensure_running())) as connection:
            postmaster = psutil.Process(pid_of(cluster))
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        while cluster.find() is None:  # until it has recovered, unless its recovery is caught
            for child in postmaster.children():
                with suppress(psutil.NoSuchProcess):
                    if " ".join(child.cmdline()).startswith("postgres: startup"):
                        child.kill()
                        child.wait()
                        return


@pytest.mark.long
def test_a_server_that_waits_for_a_recovery_that_is_over_is_begun_anew_or_stopped(
    cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "IN_VAIN", 0.3)
    with psycopg.connect(cluster.ensure_running()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n")
    leave_in_vain(cluster)
    assert value(cluster.ensure_running(), "SELECT sum(n) FROM kept") == 5_000_050_000
    leave_in_vain(cluster)
    assert cluster.stop()
    assert not cluster.status().running
    assert value(cluster.ensure_running(), "SELECT sum(n) FROM kept") == 5_000_050_000


def test_the_server_survives_the_client_that_started_it(
    cluster: EmbeddedPostgres, start_client: Callable[[Path], subprocess.Popen[str]]
) -> None:
    cluster.stop()
    client = start_client(home_of(cluster))
    url = url_of(client)
    pid = pid_of(cluster)
    client.kill()
    client.wait()
    assert cluster.find() == url
    assert value(url, "SELECT 1") == 1
    assert pid_of(cluster) == pid


@pytest.mark.long
def test_a_client_killed_while_it_makes_the_cluster_leaves_no_half_of_one(
    tmp_path: Path, start_client: Callable[[Path], subprocess.Popen[str]]
) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    client = start_client(tmp_path)
    deadline = time.monotonic() + 30
    while not list(postgres.folder.glob("data-*/PG_VERSION")):
        assert time.monotonic() < deadline
    client.kill()
    client.wait()
    assert not postgres.data.exists()
    try:
        assert value(postgres.ensure_running(), "SELECT 1") == 1
        assert sorted(path.name for path in postgres.folder.iterdir()) == [
            "data",
            "lock",
            "password",
            "roles",
            "server.log",
        ]
    finally:
        postgres.stop()


@pytest.mark.long
def test_concurrent_first_starts_get_one_server(
    tmp_path: Path, start_client: Callable[[Path], subprocess.Popen[str]]
) -> None:
    clients = [start_client(tmp_path) for _ in range(4)]
    urls = {url_of(client) for client in clients}
    postgres = EmbeddedPostgres(tmp_path)
    try:
        assert urls == {postgres.find()}
        assert postgres.log.read_text().count("starting PostgreSQL") == 1
    finally:
        postgres.stop()


def test_concurrent_threads_bring_a_killed_server_back_once(cluster: EmbeddedPostgres) -> None:
    cluster.ensure_running()
    os.kill(pid_of(cluster), signal.SIGKILL)
    starts = cluster.log.read_text().count("starting PostgreSQL")
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(cluster.ensure_running())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert urls == [cluster.find()] * 4
    assert cluster.log.read_text().count("starting PostgreSQL") == starts + 1


def test_stop_ends_the_server_although_its_starter_lives(
    cluster: EmbeddedPostgres, start_client: Callable[[Path], subprocess.Popen[str]]
) -> None:
    cluster.stop()
    client = start_client(home_of(cluster))  # it never waits for its child, which therefore ends as a zombie
    with psycopg.connect(url_of(client)):  # open sessions do not hold it up
        assert cluster.stop()
    assert client.poll() is None
    assert cluster.find() is None
    assert not cluster.status().running
    assert not cluster.stop()
    assert value(cluster.ensure_running(), "SELECT 1") == 1


@pytest.fixture(params=["nobody's", "a zombie's", "another program's"])
def misleading_pid(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process id that a killed server's pid file may name."""
    if request.param == "another program's":
        yield os.getpid()
        return
    child = os.posix_spawnp("true", ["true"], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if request.param == "nobody's":
        os.waitpid(child, 0)
    yield child
    if request.param == "a zombie's":
        assert os.waitpid(child, 0) == (child, 0)  # it was there all the time


def test_a_stale_pid_file_does_not_block_the_start(cluster: EmbeddedPostgres, misleading_pid: int) -> None:
    cluster.stop()
    (cluster.data / "postmaster.pid").write_text(f"{misleading_pid}\n{cluster.data}\n1760000000\n5432\n\n127.0.0.1\n")
    assert cluster.find() is None
    assert value(cluster.ensure_running(), "SELECT 1") == 1


def test_an_empty_pid_file_does_not_block_the_start(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    (cluster.data / "postmaster.pid").touch()
    assert value(cluster.ensure_running(), "SELECT 1") == 1


def test_another_server_on_the_usual_port_is_left_alone(cluster: EmbeddedPostgres) -> None:
    usual = int(str(conninfo_to_dict(cluster.ensure_running())["port"]))
    cluster.stop()
    with socket.create_server(("127.0.0.1", usual)):
        url = cluster.ensure_running()
        assert conninfo_to_dict(url)["port"] != str(usual)
        assert cluster.find() == url
    cluster.stop()
    assert conninfo_to_dict(cluster.ensure_running())["port"] == str(usual)


def test_the_callers_environment_does_not_matter(cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.stop()
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("LC_ALL", "xx_XX")
    monkeypatch.delenv("HOME", raising=False)
    assert value(cluster.ensure_running(), "SELECT 1") == 1


def test_a_dropped_database_is_made_again(cluster: EmbeddedPostgres) -> None:
    cluster.ensure_running()
    with psycopg.connect(cluster.url_for("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE knowdefeat WITH (FORCE)")
    assert cluster.find() is None
    assert value(cluster.ensure_running(), "SELECT current_database()") == "knowdefeat"


def test_data_of_another_major_version_is_refused_with_the_way_out(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    version_file = cluster.data / "PG_VERSION"
    ours = version_file.read_text()
    version_file.write_text("17\n")
    try:
        with pytest.raises(
            EmbeddedPostgresError, match=r"(?s)written by PostgreSQL 17.*pg_dump .*knowdefeat db restore"
        ):
            cluster.ensure_running()
    finally:
        version_file.write_text(ours)
    assert value(cluster.ensure_running(), "SELECT 1") == 1


def test_a_folder_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    postgres.data.mkdir(parents=True)
    (postgres.data / "letter.txt").write_text("dear diary")
    with pytest.raises(EmbeddedPostgresError, match="holds no PostgreSQL database"):
        postgres.ensure_running()
    assert [path.name for path in postgres.data.iterdir()] == ["letter.txt"]


def test_a_failed_start_shows_the_end_of_its_log(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    settings = cluster.data / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "shared_buffers = 'plenty'\n")
    try:
        with pytest.raises(EmbeddedPostgresError) as caught:
            cluster.ensure_running()
    finally:
        settings.write_text(good)
    assert 'invalid value for parameter "shared_buffers": "plenty"' in str(caught.value)
    assert "database system is shut down" not in str(caught.value)  # what an earlier server logged
    assert value(cluster.ensure_running(), "SELECT 1") == 1


def test_a_lost_password_is_named(cluster: EmbeddedPostgres) -> None:
    cluster.ensure_running()
    kept = cluster.password_file.rename(cluster.folder / "kept")
    try:
        with pytest.raises(EmbeddedPostgresError, match="password is missing"):
            cluster.find()
    finally:
        kept.rename(cluster.password_file)


def test_waiting_for_another_starter_is_bounded(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    impatient = EmbeddedPostgres(home_of(cluster), timeout=0.05)
    with FileLock(cluster.folder / "lock"), pytest.raises(EmbeddedPostgresError, match=r"has held .*lock"):
        impatient.ensure_running()


def test_a_long_log_is_set_aside(cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.stop()
    monkeypatch.setattr(embedded, "LARGEST_LOG", 10)
    cluster.ensure_running()
    assert "database system is shut down" in cluster.log.with_suffix(".log.1").read_text()
    assert cluster.log.read_text().count("starting PostgreSQL") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own what it does not run")
def test_a_cluster_that_root_restored_is_given_back(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    for path in (cluster.data, *cluster.data.rglob("*")):
        os.chown(path, 0, 0)
    assert value(cluster.ensure_running(), "SELECT 1") == 1
    assert cluster.data.stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="who runs the server as oneself passes through one's own folders")
def test_a_server_that_was_cut_off_from_its_files_says_so_and_reaches_them_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    postgres = EmbeddedPostgres(home)
    url = postgres.ensure_running()
    try:
        migrations.upgrade(url)
        require_own(url)
        tmp_path.chmod(0o700)
        with pytest.raises(DatabaseUnreachable, match=r"cannot read its own files: could not open .*chmod o\+x"):
            require_own(url)
        assert postgres.ensure_running() == url
        require_own(url)
        assert tmp_path.stat().st_mode & 0o777 == 0o701
    finally:
        postgres.stop()


def test_without_the_wheel_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match="KNOWDEFEAT_DATABASE_URL"):
        EmbeddedPostgres(tmp_path).ensure_running()


def test_a_copied_cluster_starts_elsewhere(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    cluster.stop()
    shutil.copytree(cluster.folder, tmp_path / "postgres")
    copy = EmbeddedPostgres(tmp_path)
    try:
        url = copy.ensure_running()
        assert value(url, "SHOW data_directory") == str(copy.data)
        assert cluster.ensure_running() != url  # both run, each on a port of its own
    finally:
        copy.stop()


def test_data_moved_to_another_disk_behind_a_link_is_one_server(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    cluster.stop()
    shutil.copytree(cluster.folder, tmp_path / "postgres")
    (tmp_path / "postgres" / "data").rename(tmp_path / "disk")
    (tmp_path / "postgres" / "data").symlink_to(tmp_path / "disk")
    linked = EmbeddedPostgres(tmp_path)
    try:
        url = linked.ensure_running()
        assert EmbeddedPostgres(tmp_path).find() == url
    finally:
        assert linked.stop()
