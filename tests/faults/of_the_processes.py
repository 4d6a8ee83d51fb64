"""Faults of processes: killed or stopped at each phase of what they do, and the server restarted under all of them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from dagster_graphql import DagsterGraphQLClient

from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.locks import days_locked
from tests.faults.earlier import fill, given, make
from tests.faults.matrix import Outcome
from tests.faults.of_the_clients import before_the_commit
from tests.faults.processes import Process, command, kill_server, killed
from tests.faults.world import World, knowdefeat, world

TRADES = 5
LEASE = 1.0  # seconds
PATIENCE = 120.0  # seconds
EARLIER = "0012"
BEFORE_WRITING = "knowdefeat_pipeline.steps.metrics.replace_days"
BEFORE_THE_COMMIT = "knowdefeat_pipeline.steps.metrics.mark"
BETWEEN_STEPS = "knowdefeat_pipeline.assets.ranking.compute_rankings"
END_OF_A_BATCH = "knowdefeat_pipeline.steps.chain.compute_allocations"
SERVICE_MANAGER = 10.0  # seconds that it waits after SIGTERM
UNDER_WAY = "SELECT count(*) FROM dagster.runs WHERE status = 'STARTED'"
LOCKED = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def await_counted(at: World, number: int) -> None:
    """Wait until the figures count so many trades, which some other process sees to."""
    _await(lambda: at.counted() == number, f"of {number} trades not all are counted")


def _await(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, otherwise


def listener(where: str = "", number: int = signal.SIGSTOP) -> Process:
    """A live listener, once it listens."""
    started = command("live", where=where, number=number, lease=LEASE)
    started.hear("Listening for new trades")
    return started


def _run_killed(computed: Path, where: str, phase: str, is_written: bool) -> Outcome:
    with world(computed) as at:
        at.close_trades(TRADES)
        killed(where, "run")
        assert at.counted() == (TRADES if is_written else 0)
        return at.outcome(f"kill -9 of a run {phase}", "its step wrote all or nothing, the next run was whole")


def run_killed_before_writing(computed: Path) -> Outcome:
    """kill -9 of the process of a run before a step writes."""
    return _run_killed(computed, BEFORE_WRITING, "before a step writes", is_written=False)


def run_killed_before_the_commit(computed: Path) -> Outcome:
    """The same when all of a step is written and nothing committed."""
    return _run_killed(computed, BEFORE_THE_COMMIT, "before a step's commit", is_written=False)


def run_killed_between_steps(computed: Path) -> Outcome:
    """The same when one step has committed and the next has not begun."""
    return _run_killed(computed, BETWEEN_STEPS, "between two steps", is_written=True)


def run_stopped(computed: Path) -> Outcome:
    """SIGSTOP of a run within a step, for shorter than its lease: a second one waits for its days; then both go on."""
    with world(computed) as at, connect(at.url) as looking:
        at.close_trades(TRADES)
        with command("run", where=BEFORE_THE_COMMIT) as first:
            first.await_stop()
            at.close_trades(TRADES)
            with command("run") as second:
                while looking.execute(LOCKED).fetchone() == (0,):
                    assert second.process.poll() is None, second.end()
                assert at.counted() == 0
                first.go_on()
                assert [first.end()[0], second.end()[0]] == [0, 0]
        happened = "a second run waited for its days, and counted all once the first went on"
        return at.outcome("SIGSTOP of a run, shorter than its lease", happened)


def run_stopped_for_long(computed: Path) -> Outcome:
    """The same until its lease has ended: the second run takes its days, and the first commits nothing any more."""
    with world(computed) as at:
        at.close_trades(TRADES)
        with command("run", where=BEFORE_THE_COMMIT, lease=LEASE) as first:
            first.await_stop()
            at.close_trades(TRADES)
            assert at.run().status == 0
            assert at.counted() == 2 * TRADES
            first.go_on()
            status, said = first.end()
        assert (status, at.counted()) == (1, 2 * TRADES)
        message = " ".join(said.rpartition("Error: ")[2].split())
        happened = "a second run took its days once its lease had ended; when it went on it failed, and wrote nothing"
        return at.outcome("SIGSTOP of a run, longer than its lease", happened, message)


def listener_killed_while_it_waits(computed: Path) -> Outcome:
    """kill -9 of the live listener between two batches."""
    with world(computed) as at:
        with listener() as live:
            at.close_trades(TRADES)
            live.hear("refreshed in")
            await_counted(at, TRADES)
        at.close_trades(TRADES)
        return at.outcome("kill -9 of the listener while it waits", "what it had not seen, the next run counted")


def listener_killed_in_a_batch(computed: Path) -> Outcome:
    """The same when a batch has written all but not committed; the next listener does it anew."""
    with world(computed) as at:
        with listener(END_OF_A_BATCH, signal.SIGKILL) as live:
            at.close_trades(TRADES)
            assert live.end()[0] == -signal.SIGKILL
        assert at.counted() == 0
        with listener():
            await_counted(at, TRADES)
        return at.outcome("kill -9 of the listener before a batch's commit", "the next listener counted its trades")


def listener_stopped(computed: Path) -> Outcome:
    """SIGSTOP of the live listener within a batch: once its lease has ended a run takes its days."""
    with world(computed) as at, listener(END_OF_A_BATCH) as live:
        at.close_trades(TRADES)
        live.await_stop()
        at.close_trades(TRADES)
        assert at.run().status == 0
        assert at.counted() == 2 * TRADES
        live.go_on()
        live.hear("Trying again")
        live.hear("Listening for new trades")
        at.close_trades(TRADES)
        await_counted(at, 3 * TRADES)
        happened = "a run counted its trades; once it went on it committed nothing, connected anew and counted on"
        return at.outcome("SIGSTOP of the listener before a batch's commit", happened)


def server_killed_in_a_run(computed: Path) -> Outcome:
    """kill -9 of all of the server's processes, right after trades were acknowledged and within a run."""
    with world(computed) as at:
        at.close_trades(TRADES)
        with before_the_commit(lambda session: kill_server(at.server) if at.server.find() else None):
            during = at.run()
        assert during.status == 1
        at.close_trades(TRADES)  # nobody has begun it again
        assert len(at.refused) == TRADES
        happened = f"the run failed, {TRADES} trades were refused; the next command began the server, and was whole"
        return at.outcome("kill -9 of the server before a step's commit", happened, during.message)


def server_killed_under_the_listener(computed: Path) -> Outcome:
    """The same under the live listener, which waits for it."""
    with world(computed) as at, listener() as live:
        at.close_trades(TRADES)
        kill_server(at.server)
        live.hear("Trying again")
        at.close_trades(TRADES)
        assert at.url
        at.try_again()
        live.hear("Listening for new trades")
        await_counted(at, 2 * TRADES)
        return at.outcome("kill -9 of the server under the listener", "the listener came back with it and counted all")


def backup_killed(computed: Path) -> Outcome:
    """kill -9 of a backup that is written and not yet checked."""
    with world(computed) as at:
        at.close_trades(TRADES)
        folder = at.home / "backups"
        folder.mkdir()
        killed("knowdefeat_pipeline.postgres.archive.check", "db", "backup", str(folder / "monday"))
        assert not (folder / "monday").exists()
        assert knowdefeat("db", "backup", str(folder / "tuesday")).status == 0
        assert [path.name for path in folder.iterdir()] == ["tuesday"]
        at.move(at.new_database("target"))
        assert knowdefeat("db", "restore", str(folder / "tuesday")).status == 0
        return at.outcome("kill -9 of a backup at its end", "no file under its name; the next was whole, and restored")


def _restore_killed(computed: Path, where: str, phase: str) -> Outcome:
    with world(computed) as at:
        at.close_trades(TRADES)
        file = str(at.home / "backup")
        assert knowdefeat("db", "backup", file).status == 0
        at.move(at.new_database("target"))
        killed(where, "db", "restore", file)
        with connect(at.url) as connection:  # the killed session may live on for a moment, and hold what it made
            connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'target'"
                               " AND pid <> pg_backend_pid()")  # fmt: skip
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        assert knowdefeat("db", "restore", file).status == 0
        return at.outcome(f"kill -9 of a restore {phase}", "the database stayed empty; the next restore was whole")


def restore_killed_while_it_fills(computed: Path) -> Outcome:
    """kill -9 of a restore when our tables are full and Dagster's are not."""
    return _restore_killed(computed, "knowdefeat_pipeline.postgres.backup._fill_dagster", "while it fills")


def restore_killed_before_the_commit(computed: Path) -> Outcome:
    """The same when all is written and nothing committed."""
    return _restore_killed(computed, "knowdefeat_pipeline.postgres.identity.record", "before its commit")


def migrate_killed(computed: Path) -> Outcome:
    """kill -9 of an upgrade when all migrations have run and nothing is committed."""
    with world(computed) as at:
        earlier = at.new_database("earlier")
        make(earlier, EARLIER)
        fill(earlier, at.url)
        kept = given(at.url)
        at.move(earlier)
        at.close_trades(TRADES)
        killed("knowdefeat_pipeline.postgres.migrations._comment", "db", "migrate")
        assert migrations.status(earlier).current == EARLIER
        assert knowdefeat("db", "migrate").status == 0
        assert all(set(rows) <= set(given(earlier)[table]) for table, rows in kept.items())
        happened = f"the schema stayed at {EARLIER}; the next upgrade was whole"
        return at.outcome("kill -9 of an upgrade before its commit", happened)


@contextmanager
def _up(at: World) -> Iterator[Process]:
    """`knowdefeat up`, once its listener counts; at the end it is stopped, with all that it began."""
    with command("up") as up:
        try:
            up.hear("Dagster UI: ")
            at.close_trades(TRADES)
            await_counted(at, TRADES)
            yield up
        finally:
            if up.process.poll() is None:
                up.process.send_signal(signal.SIGINT)
                up.process.wait()


def server_restarted_under_up(computed: Path) -> Outcome:
    """`knowdefeat db stop` under `knowdefeat up`, and the server begun again."""
    with world(computed) as at:
        with _up(at) as up:
            assert knowdefeat("db", "stop").status == 0
            at.close_trades(TRADES)
            assert at.url
            at.try_again()
            await_counted(at, 2 * TRADES)
            assert up.process.poll() is None
        assert up.process.returncode == 0
        return at.outcome("server restarted under up", "up ran on, and its listener counted all trades")


def up_terminated_in_a_run(computed: Path) -> Outcome:
    """SIGTERM of `knowdefeat up` while a run that it began waits for a lock."""
    today = datetime.now(UTC).date()
    with world(computed) as at:
        with _up(at) as up, connect(at.url) as other, days_locked(other, today, today):
            _launch(at, today)
            at.close_trades(TRADES)
            _await(lambda: other.execute(UNDER_WAY).fetchone() == (1,), "no run is under way")
            begun = time.monotonic()
            up.process.send_signal(signal.SIGTERM)
            status, said = up.end()
            seconds = time.monotonic() - begun
        assert (status, seconds < SERVICE_MANAGER) == (0, True), f"{seconds:.1f} s: {said}"
        return at.outcome("SIGTERM of up in a run", "up ended well within ten seconds; the next run was whole")


def _launch(at: World, day: date) -> None:
    """A run of the chain, by Dagster's UI."""
    _, dagster, *_ = (at.home / "up.lock").read_text().split()  # after the address of the pages
    address = urlsplit(dagster)
    client = DagsterGraphQLClient(str(address.hostname), port_number=address.port)
    client.submit_job_execution("refresh", tags={"dagster/partition": day.isoformat()})


def _program_killed(computed: Path, name: str) -> Outcome:
    with world(computed) as at:
        with _up(at) as up:
            os.kill(_program(at, name), signal.SIGKILL)
            message = up.hear("Started again: ").splitlines()[-1]
            at.close_trades(TRADES)
            await_counted(at, 2 * TRADES)
            up.process.send_signal(signal.SIGTERM)
            status, said = up.end()
        assert status == 0, said
        assert message.startswith(f"Started again: the {name}, killed by SIGKILL")
        return at.outcome(f"kill -9 of the {name} under up", "it was started again; the trades were counted", message)


def _program(at: World, name: str) -> int:
    """The process of one of the programs of `up`, as its lock names them."""
    order = ("up", "pages", "webserver", "daemon", "listener")
    _, _, *processes = (at.home / "up.lock").read_text().split()  # after two addresses
    return int(processes[order.index(name)])


def pages_killed(computed: Path) -> Outcome:
    """kill -9 of the pages."""
    return _program_killed(computed, "pages")


def daemon_killed(computed: Path) -> Outcome:
    """kill -9 of Dagster's daemon."""
    return _program_killed(computed, "daemon")


def webserver_killed(computed: Path) -> Outcome:
    """kill -9 of the web server."""
    return _program_killed(computed, "webserver")


def listener_killed_under_up(computed: Path) -> Outcome:
    """kill -9 of the live listener that `up` began."""
    return _program_killed(computed, "listener")
