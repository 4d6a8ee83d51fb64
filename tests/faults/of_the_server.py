"""Faults of the server and of what it is given: disk, connections, timeouts."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import psycopg

from knowdefeat_pipeline.postgres.connection import connect
from tests.faults.matrix import CannotInject, Outcome
from tests.faults.of_the_clients import before_the_commit
from tests.faults.of_the_processes import await_counted, listener
from tests.faults.world import World, copy, world

MEGABYTE = 1_000_000
TRADES = 5
END_LISTENER = "SELECT pg_terminate_backend(backend, 10000) FROM session_leases"
OTHER_CAPITAL = "UPDATE bots SET capital = capital + 1"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """What stands in the folder, on a file system of 100 MB of its own. Raises CannotInject where that may not be mounted."""
    mount = shutil.which("mount")
    if not mount or os.name != "posix" or os.geteuid() != 0:
        raise CannotInject("mounting a small file system needs root")
    with tempfile.TemporaryDirectory() as kept:
        copy(folder, Path(kept))
        done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            raise CannotInject(done.stderr.decode().strip())
        copy(Path(kept), folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all space that is left there; the file that takes it."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(MEGABYTE))
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


def _disk_full(computed: Path, part: str, what: str) -> Outcome:
    with world(computed, around=lambda home: small_disk(home / "postgres" / part)) as at:
        at.close_trades(TRADES)
        disk = at.server.folder / part
        filler = fill(disk)
        while not at.refused and len(at.acknowledged) < 20_000:
            at.close_trades(500)
        assert at.refused
        during = at.run()
        kept = len(at.acknowledged)
        filler.unlink()
        assert during.status == 1
        stopped = "; the server had ended" if at.server.find() is None else ""
        happened = (
            f"{kept} trades kept, {len(at.refused)} refused{stopped}; a run failed; with space, the next was whole"
        )
        return at.outcome(f"disk of {what} full", happened, during.message)


def disk_of_tables_full(computed: Path) -> Outcome:
    """No table can grow; the log still can."""
    return _disk_full(computed, "data/base", "the tables")


def disk_of_the_log_full(computed: Path) -> Outcome:
    """The write-ahead log cannot grow: the server ends itself."""
    return _disk_full(computed, "data/pg_wal", "the write-ahead log")


def listener_on_a_full_disk(computed: Path) -> Outcome:
    """The live listener while no table can grow: it waits, and counts all once there is space."""
    with world(computed, around=lambda home: small_disk(home / "postgres" / "data/base")) as at, listener() as live:
        with connect(at.url) as person:
            person.execute(OTHER_CAPITAL)
            live.hear("refreshed in")
            filler = fill(at.server.folder / "data/base")
            at.close_trades(20_000)
            said = "refreshed in"
            while "refreshed in" in said:  # all days anew, which needs some space each time
                person.execute(OTHER_CAPITAL)
                said = live.hear("refreshed in", "Trying again", "Looking again")
        assert at.refused
        filler.unlink()
        at.close_trades(TRADES)
        await_counted(at, TRADES)
        happened = "trades were refused, the listener waited; with space it counted on without a command"
        return at.outcome("disk of the tables full under the listener", happened, " ".join(said.split()))


def listener_without_connections(computed: Path) -> Outcome:
    """All connections are taken while the live listener has to connect anew."""
    with world(computed, {"max_connections": "20"}) as at, listener() as live:
        at.close_trades(TRADES)
        live.hear("refreshed in")
        with connect(at.url) as person:
            person.execute(END_LISTENER)
            live.hear("Trying again in 1 s.")
            with _all_connections(at):
                said = live.hear("Trying again")
                at.close_trades(TRADES, person)
        live.hear("Listening for new trades")
        await_counted(at, 2 * TRADES)
        happened = "the listener waited; with a free connection it counted all without a command"
        return at.outcome("all connections taken under the listener", happened, " ".join(said.split()))


@contextmanager
def _all_connections(at: World) -> Iterator[list[psycopg.Connection]]:
    """Sessions that leave no room for one more."""
    url = at.url
    with ExitStack() as stack:
        taken: list[psycopg.Connection] = []
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(stack.enter_context(psycopg.connect(url, autocommit=True)))
        yield taken


def _connections_exhausted(computed: Path, by_url: bool) -> Outcome:
    with world(computed, {"max_connections": "20"}) as at:
        url = at.url
        with _all_connections(at) as taken:
            at.close_trades(TRADES, taken[0])
            at.close_trades(TRADES)  # a new session
            if by_url:
                os.environ["KNOWDEFEAT_DATABASE_URL"] = url
            during = at.run()
        assert (len(at.acknowledged), len(at.refused), during.status) == (TRADES, TRADES, 1)
        how = "address given" if by_url else "embedded server"
        happened = f"{TRADES} trades of an open session kept, {TRADES} refused; a run failed, the next was whole"
        return at.outcome(f"all connections taken ({how})", happened, during.message)


def connections_exhausted(computed: Path) -> Outcome:
    """Other sessions have taken all connections of the embedded server."""
    return _connections_exhausted(computed, by_url=False)


def connections_exhausted_by_url(computed: Path) -> Outcome:
    """The same for a server that is known by its address."""
    return _connections_exhausted(computed, by_url=True)


def _timeout(
    computed: Path, name: str, value: str, blocked: bool, broken: AbstractContextManager[object] | None = None
) -> Outcome:
    """A run under a timeout of the database; `blocked`: somebody holds a table that it has to write."""
    with world(computed) as at, connect(at.url) as other:
        at.close_trades(TRADES)
        other.execute("SET statement_timeout = 0")
        other.execute(f"ALTER DATABASE knowdefeat SET {name} = '{value}'")
        with other.transaction(), broken or nullcontext():
            if blocked:
                other.execute("LOCK TABLE win_streaks_rows IN EXCLUSIVE MODE")
            during = at.run()
        other.execute(f"ALTER DATABASE knowdefeat RESET {name}")
        assert during.status == 1 or not blocked
        happened = "a run failed, the next was whole" if during.status else "a run was whole"
        return at.outcome(f"{name} = {value}", happened, during.message)


def statement_timeout(computed: Path) -> Outcome:
    """A statement that waits for a table is ended."""
    return _timeout(computed, "statement_timeout", "1s", blocked=True)


def lock_timeout(computed: Path) -> Outcome:
    """The wait for a table is ended."""
    return _timeout(computed, "lock_timeout", "500ms", blocked=True)


def idle_in_transaction_timeout(computed: Path) -> Outcome:
    """A step that computes between two statements loses its session."""
    waiting = before_the_commit(_await_its_end)
    return _timeout(computed, "idle_in_transaction_session_timeout", "200ms", blocked=False, broken=waiting)


def _await_its_end(session: psycopg.Connection) -> None:
    """Do nothing in this session until the server has ended it."""
    info = session.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as other:
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (info.backend_pid,)).fetchone():
            pass


def idle_session_timeout(computed: Path) -> Outcome:
    """A session that waits is ended."""
    return _timeout(computed, "idle_session_timeout", "20ms", blocked=False)
