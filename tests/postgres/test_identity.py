"""Copies that stock programs make, onto another server or the same: noticed, and no later trade is missed."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import identity, migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.identity import ForeignTransactions, Origin, Server, identify, require_own
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres, binaries
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, Staleness, settle, stale_days
from knowdefeat_pipeline.store.trades import load_trades

END = datetime(2025, 3, 1, tzinfo=UTC)
NOW = END + timedelta(hours=12)


@pytest.fixture
def source(database: str) -> str:
    """A database with trades and results, of a server that has given out thousands of numbers."""
    spend(database, 5000)
    require_own(database)
    load_trades(database, read_frame(simulate("base", bots=3, days=4, seed=3, end=END).trades, "simulator", NOW), "f")
    compute(database)
    with connect(database) as connection:
        assert not look(connection)
    return database


@pytest.fixture
def new_server() -> Iterator[str]:
    """The empty database of a server that was never used."""
    with TemporaryDirectory(prefix="knowdefeat-") as home:
        server = EmbeddedPostgres(Path(home))
        yield server.ensure_running()
        server.stop()


def spend(url: str, transactions: int) -> None:
    """Let so many transactions pass."""
    with connect(url) as connection:
        connection.execute(
            f"DO $$ BEGIN FOR n IN 1..{transactions} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )


def compute(url: str) -> None:
    with connect(url) as connection:
        found = look(connection)
        refresh(Session(url, connection), found.first, found.last, NOW)


def look(connection: psycopg.Connection) -> Staleness:
    found = stale_days(connection, RANKING, NOW)
    settle(connection, found)
    return found


def close(url: str, minutes: int) -> None:
    """One more trade, closed so many minutes before the last midnight."""
    exit_time = END - timedelta(minutes=minutes)
    with connect(url) as connection:
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
            " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
            (exit_time - timedelta(hours=1), exit_time),
        )


def metrics(url: str) -> list:
    with connect(url) as connection:
        return connection.execute("SELECT * FROM bot_metrics ORDER BY day, bot_id, ticker").fetchall()


def lifetime_trades(url: str) -> int:
    """How many trades the last day's figures count, by the table itself."""
    with connect(url) as connection:
        ((count,),) = connection.execute(
            "SELECT sum(lifetime_trades) FROM bot_metrics WHERE ticker = '*' AND day = (SELECT max(day) FROM bot_metrics)"
        ).fetchall()
        return int(count)


def closed_trades(url: str) -> int:
    with connect(url) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM trades WHERE status = 'closed'").fetchall()
        return int(count)


def stock_copy(source: str, target: str, *options: str) -> None:
    """As people do it: pg_dump into psql, each table in a transaction of its own."""
    dump = subprocess.run(
        [str(binaries() / "pg_dump"), "--no-owner", "--no-privileges", *options, source],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [str(binaries() / "psql"), "-q", "-v", "ON_ERROR_STOP=1", target], input=dump.stdout, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("noticed_late", [False, True])
def test_a_stock_copy_on_another_server_is_noticed_and_its_trades_are_counted(
    source: str, new_server: str, noticed_late: bool
) -> None:
    stock_copy(source, new_server)
    close(new_server, 5)  # a bot goes on before anybody looks
    with connect(new_server) as connection:
        assert not look(connection)  # the fault: a snapshot of the other server's hides the trade
    if noticed_late:  # the new server's numbers have passed the old one's, and rows of both look alike
        spend(new_server, 6000)
        close(new_server, 7)
    with pytest.raises(ForeignTransactions, match=r"copied from another PostgreSQL server.*knowdefeat db adopt"):
        require_own(new_server)
    migrations.upgrade(new_server)
    require_own(new_server)
    with connect(new_server) as connection:
        assert identify(connection).origin is Origin.HERE
        assert connection.execute("SELECT count(*) FROM pg_trigger WHERE tgenabled = 'D'").fetchone() == (0,)
    compute(new_server)
    assert lifetime_trades(new_server) == closed_trades(new_server) == closed_trades(source) + 1 + noticed_late
    close(new_server, 9)
    compute(new_server)
    assert lifetime_trades(new_server) == closed_trades(source) + 2 + noticed_late
    close(source, 5)
    close(source, 9)
    if noticed_late:
        close(source, 7)
    compute(source)
    assert metrics(source) == metrics(new_server)


@pytest.mark.long
def test_a_dump_from_before_identities_were_noted_is_noticed_by_its_numbers(source: str, new_server: str) -> None:
    with connect(source) as connection:
        connection.execute("DELETE FROM cluster_identity")
    stock_copy(source, new_server)
    close(new_server, 5)
    spend(new_server, 6000)
    with pytest.raises(ForeignTransactions):
        require_own(new_server)
    migrations.upgrade(new_server)
    compute(new_server)
    assert lifetime_trades(new_server) == closed_trades(source) + 1


@pytest.mark.long
@pytest.mark.parametrize("how", ["as usual", "as a replica's worker", "without triggers"])
def test_rows_that_bring_their_numbers_along_are_news(source: str, new_server: str, how: str) -> None:
    migrations.upgrade(new_server)
    spend(new_server, 6000)
    with connect(new_server) as connection:
        connection.execute("ALTER SEQUENCE trades_trade_id_seq RESTART 1000000")
    close(new_server, 5)
    compute(new_server)
    with connect(source) as one, connect(new_server) as other, other.transaction():
        if how == "as a replica's worker":
            other.execute("SET LOCAL session_replication_role = replica")
        if how == "without triggers":
            other.execute("ALTER TABLE trades DISABLE TRIGGER ALL")
        for bots in ("SELECT * FROM bots WHERE bot_id <> 1", "SELECT * FROM trades"):
            table = bots.split()[3]
            with (
                one.cursor().copy(f"COPY ({bots}) TO STDOUT") as rows,
                other.cursor().copy(f"COPY {table} FROM STDIN") as to,
            ):
                for row in rows:
                    to.write(row)
        if how == "without triggers":
            other.execute("ALTER TABLE trades ENABLE TRIGGER ALL")
            identity.adopt(other, force=True)
    compute(new_server)
    assert lifetime_trades(new_server) == closed_trades(new_server) == closed_trades(source) + 1


@pytest.mark.long
def test_a_template_copy_is_noted_and_keeps_its_numbers(
    source: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    statement = "SELECT trade_id, recorded_xid::text FROM trades ORDER BY 1"
    with connect(source) as connection:
        before, numbers = identify(connection), connection.execute(statement).fetchall()
    assert before.origin is Origin.HERE
    with cloned(source) as copy:
        with connect(copy) as connection:
            found = identify(connection)
            assert found.origin is Origin.MOVED
            assert found.noted == before.present
            assert found.present.database_oid != before.present.database_oid
        require_own(copy)
        with connect(copy) as connection:
            assert identify(connection).origin is Origin.HERE
            assert connection.execute(statement).fetchall() == numbers
            assert not look(connection)
        close(copy, 5)
        with connect(copy) as connection:
            assert look(connection).trades == 1


def test_a_stock_copy_on_the_same_server_keeps_its_numbers(source: str, empty_database: str) -> None:
    stock_copy(source, empty_database)
    with connect(empty_database) as connection:
        assert identify(connection).origin is Origin.UNKNOWN
    require_own(empty_database)
    with connect(empty_database) as connection:
        assert identify(connection).origin is Origin.HERE
        assert not look(connection)
    close(empty_database, 5)
    with connect(empty_database) as connection:
        assert look(connection).trades == 1


def test_a_plain_role_is_told_as_much_and_a_reader_changes_nothing(source: str) -> None:
    with connect(source) as connection:
        owner = identify(connection)
        connection.execute("CREATE ROLE knowdefeat_test_plain")
        try:
            connection.execute("GRANT SELECT ON cluster_identity TO knowdefeat_test_plain")
            connection.execute("SET ROLE knowdefeat_test_plain")
            plain = identify(connection)
            assert plain.present == owner.present
            assert plain.present.system_identifier is not None
            assert (plain.origin, plain.may_write) == (Origin.HERE, False)
            connection.execute("RESET ROLE")
            connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
            connection.execute("SET ROLE knowdefeat_test_plain")
            told_nothing = identify(connection)
            assert told_nothing.present.system_identifier is None
            assert told_nothing.origin is Origin.MOVED  # the row was written here, whatever the server tells
            assert not identity.is_foreign(connection, told_nothing)
        finally:
            connection.execute("RESET ROLE")
            connection.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
            connection.execute("DROP OWNED BY knowdefeat_test_plain")
            connection.execute("DROP ROLE knowdefeat_test_plain")


HERE = Server(7, 1, 16384)


@pytest.mark.parametrize(
    ("noted", "present", "was_written_here", "origin"),
    [
        (None, HERE, False, Origin.UNKNOWN),
        (HERE, HERE, True, Origin.HERE),
        (HERE, HERE, False, Origin.UNKNOWN),  # dumped and restored under the same name
        (HERE, Server(7, 1, 5), True, Origin.MOVED),  # a template
        (HERE, Server(7, 2, 16384), True, Origin.MOVED),  # a standby that was promoted
        (HERE, Server(7, 2, 16384), False, Origin.ELSEWHERE),  # between a server and its promoted standby
        (HERE, Server(8, 1, 16384), True, Origin.ELSEWHERE),  # pg_upgrade, or the same number by chance
        (HERE, Server(8, 1, 16384), False, Origin.ELSEWHERE),
        (HERE, Server(None, None, 16384), False, Origin.ELSEWHERE),
        (HERE, Server(None, None, 16384), True, Origin.MOVED),
        (Server(None, None, 5), Server(None, None, 5), True, Origin.HERE),
        (Server(None, None, 5), Server(None, None, 5), False, Origin.ELSEWHERE),
    ],
)
def test_where_numbers_come_from(noted: Server | None, present: Server, was_written_here: bool, origin: Origin) -> None:
    assert identity._origin(noted, present, was_written_here) is origin


def test_adopting_needs_the_owner_and_says_so(source: str) -> None:
    with connect(source) as connection:
        connection.execute("UPDATE cluster_identity SET system_identifier = 1")
        connection.execute("CREATE ROLE knowdefeat_test_plain")
        try:
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO knowdefeat_test_plain")
            connection.execute("SET ROLE knowdefeat_test_plain")
            with (
                pytest.raises(
                    ForeignTransactions, match=r"(?s)may not replace.*Run as the owner of its tables: knowdefeat"
                ),
                connection.transaction(),
            ):
                identity.adopt(connection)
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY knowdefeat_test_plain")
            connection.execute("DROP ROLE knowdefeat_test_plain")


@pytest.mark.long
def test_a_trade_that_commits_while_the_database_is_adopted_is_counted(source: str, new_server: str) -> None:
    stock_copy(source, new_server)
    begun = threading.Event()

    def adopt() -> None:
        begun.set()
        migrations.upgrade(new_server)

    with connect(new_server) as connection, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
                " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
                (END - timedelta(hours=2), END - timedelta(hours=1)),
            )
            adopting = pool.submit(adopt)
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'trades'::regclass"
            assert begun.wait(10)
            deadline = time.monotonic() + 20
            while connection.execute(waiting).fetchone() == (0,) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert connection.execute(waiting).fetchone() == (1,)
        adopting.result(20)
    compute(new_server)
    assert lifetime_trades(new_server) == closed_trades(new_server) == closed_trades(source) + 1
