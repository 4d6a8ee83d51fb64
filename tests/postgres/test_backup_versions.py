"""Backup and restore between real servers of every version of PostgreSQL that the machine has (see `servers`), over TLS and
through a pooler."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.backup import backup, restore
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.identity import require_own
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.steps.chain import refresh
from knowdefeat_pipeline.store.session import Session
from knowdefeat_pipeline.store.staleness import RANKING, Staleness, settle, stale_days
from knowdefeat_pipeline.store.trades import load_trades
from tests.postgres.poolers import needs_pooler, pooler
from tests.postgres.servers import FOUND, new_database, server_of

END = datetime(2025, 3, 1, tzinfo=UTC)
NOW = END + timedelta(hours=12)


NAMES = [*FOUND, "embedded"]
pytestmark = pytest.mark.skipif(not FOUND, reason="no other PostgreSQL is installed than the embedded one")
# What is folded anew, or settled into the marks, where a server of its own numbers transactions.
FOLDED = {"bot_months", "bot_months_state", "belief_checkpoints", "belief_checkpoints_state", "input_changes"}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """The maintenance database of a server of each version, and of the embedded one."""
    with ExitStack() as stack:
        urls = {name: stack.enter_context(server_of(binaries)) for name, binaries in FOUND.items()}
        home = Path(mkdtemp(prefix="knowdefeat-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        embedded = EmbeddedPostgres(home)
        urls["embedded"] = embedded.url_for("postgres")
        stack.callback(embedded.stop)
        yield urls


def look(connection: psycopg.Connection) -> Staleness:
    found = stale_days(connection, RANKING, NOW)
    settle(connection, found)
    return found


def held(connection: psycopg.Connection) -> dict[str, list]:
    """Every row as the server writes it, but for what a server numbers; the sequences' last values."""
    names = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('cluster_identity', 'knowdefeat_migrations') ORDER BY 1"
    ).fetchall()
    rows = {}
    for (name,) in names:
        ((columns,),) = connection.execute(
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s AND udt_name NOT IN ('xid8', 'pg_snapshot')",
            (name,),
        ).fetchall()
        if name not in FOLDED:
            statement = f'SELECT r::text FROM (SELECT {columns} FROM "{name}") AS r ORDER BY r::text COLLATE "C"'
            rows[name] = connection.execute(statement).fetchall()
    sequences = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
    return rows | {"sequences": connection.execute(sequences).fetchall()}


@pytest.fixture(scope="module")
def sources(servers: dict[str, str]) -> dict[str, str]:
    """A database with trades and results on each server; each has given out another number of transaction ids."""
    urls = {}
    fleet = simulate("base", bots=3, days=4, seed=3, end=END).trades
    for number, (name, server) in enumerate(servers.items()):
        url = urls[name] = new_database(server, "source")
        migrations.upgrade(url)
        with connect(url) as connection:
            ids = f"FOR n IN 1..{2000 * number} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP;"
            connection.execute(f"DO $$ BEGIN {ids} END $$")
            load_trades(url, read_frame(fleet, "simulator", NOW), "f")
            # A table as Dagster's are, with a sequence, an index and a note.
            connection.execute("CREATE SCHEMA dagster")
            connection.execute("CREATE TABLE dagster.runs (id bigserial PRIMARY KEY, run_id text UNIQUE, body json)")
            connection.execute("CREATE INDEX by_body ON dagster.runs ((body ->> 'a')) WHERE id > 0")
            connection.execute(
                "INSERT INTO dagster.runs (run_id, body) SELECT n, '{\"a\": 1}' FROM generate_series(1, 9) n"
            )
            found = look(connection)
            refresh(Session(url, connection), found.first, found.last, NOW)
            assert not look(connection)
    return urls


@contextmanager
def reached(url: str, folder: Path, way: str) -> Iterator[str]:
    """The address of the database by that way."""
    if way == "direct":
        yield url
        return
    folder.mkdir()
    with pooler(url, folder, "transaction") as through:
        yield through


@pytest.mark.long
@pytest.mark.parametrize("way", ["direct", pytest.param("pooled", marks=needs_pooler)])
@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("one", NAMES)
def test_what_one_version_wrote_another_holds_and_goes_on_with(
    servers: dict[str, str], sources: dict[str, str], tmp_path: Path, one: str, other: str, way: str
) -> None:
    with connect(sources[one]) as connection:
        in_use = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert in_use == ("sslmode=verify-full" in sources[one],)
        before = held(connection)
    with reached(sources[one], tmp_path / "from", way) as url:
        backup(url, tmp_path / "file")
    target = new_database(servers[other], "target")
    with reached(target, tmp_path / "to", way) as url:
        restore(url, tmp_path / "file")
    require_own(target)
    with connect(target) as connection:
        after = held(connection)
        assert before == after
        assert len(after["trades"]) > 20
        assert ("dagster", "runs_id_seq", 9) in after["sequences"]
        assert connection.execute("SELECT count(*), max(id), min(body ->> 'a') FROM dagster.runs").fetchone() == (
            9,
            9,
            "1",
        )
        indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'dagster' ORDER BY 1"
        assert connection.execute(indexes).fetchall() == [("by_body",), ("runs_pkey",), ("runs_run_id_key",)]
        assert not look(connection)
        connection.execute(
            "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price,"
            " notional) VALUES (1, 'COIN', 'LONG', 'closed', %s, %s, 100, 101, 100)",
            (END - timedelta(hours=2), END - timedelta(hours=1)),
        )
        assert look(connection).trades == 1
