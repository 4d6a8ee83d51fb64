"""The follower: trades come once and soon, whatever happens to the file, to the follower and to the database."""

import hashlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from threading import Event, Thread

import psycopg
import pytest

from knowdefeat_pipeline.automation import follow
from knowdefeat_pipeline.automation.follow import Follower
from knowdefeat_pipeline.cli.trade_files import FileOptions
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.sources.files import read_trades
from knowdefeat_pipeline.sources.growing import Known, look, moved, news
from knowdefeat_pipeline.sources.reading import Reading
from knowdefeat_pipeline.store.followed_files import followed_files
from knowdefeat_pipeline.store.imported import list_imports
from knowdefeat_pipeline.store.imports import undo_import

PATIENCE = 60.0  # seconds that nothing here needs
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "id,bot,strategy,pair,side,status,opened_at,closed_at,open_price,close_price,notional,fee\n"
CLOSED = "{},7,{},X,buy,closed,2025-03-01 09:00,2025-03-01 10:00,100,110,1000,0\n"
OPEN = "{},7,grid,X,buy,open,2025-03-01 09:00,,100,,1000,0\n"


def closed(*ids: int, strategy: str = "grid") -> str:
    return "".join(CLOSED.format(id_, strategy) for id_ in ids)


def await_that(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class World:
    """A database, a file, and followers of it in threads that tell what they do."""

    def __init__(self, url: str, path: Path) -> None:
        self.url, self.path = url, path
        self.words: Queue[str] = Queue()

    @contextmanager
    def follower(self, how: FileOptions | None = None) -> Iterator[None]:
        over = Event()
        read = (how or FileOptions()).read_growing
        follower = Follower(self.url, [self.path], read, self.words.put, stop=over.is_set)
        thread = Thread(target=follower.run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def hear(self, part: str) -> str:
        """Await the next words that contain `part`."""
        heard: list[str] = []
        while True:
            heard.append(self.words.get(timeout=PATIENCE))
            if part in heard[-1]:
                return heard[-1]

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def ask(self, statement: str) -> list[tuple]:
        with connect(self.url) as connection:
            return connection.execute(statement).fetchall()

    def trades(self) -> list[tuple[str, str]]:
        return self.ask("SELECT source_trade_id, status FROM trades ORDER BY length(source_trade_id), source_trade_id")

    def status(self) -> dict:
        with connect(self.url) as connection:
            (row,) = followed_files(connection)
        return row


@pytest.fixture
def world(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(follow, "POLL", 0.02)
    monkeypatch.setattr(follow, "REST", 0.0)
    return World(database, tmp_path / "trades.csv")


def test_a_log_is_read_as_it_grows_and_a_line_once_it_has_ended(world: World) -> None:
    with world.follower():
        world.hear("there is no such file yet")
        world.write(HEADER + closed(1) + closed(2)[:-3])
        assert "1 row: 1 new" in world.hear("row")
        assert world.trades() == [("1", "closed")]
        world.write(closed(2)[-3:] + OPEN.format(3))
        assert "2 rows: 2 new" in world.hear("row")
        world.path.write_text(HEADER + closed(1, 2, 3))  # written anew: the position has closed
        assert "1 row: 0 new, 1 updated" in world.hear("row")
    assert world.trades() == [("1", "closed"), ("2", "closed"), ("3", "closed")]
    status = world.status()
    assert (status["source"], status["trades"], status["is_followed"], status["trouble"]) == (
        "table:grid",
        4,
        True,
        None,
    )
    assert status["arrived_at"] <= datetime.now(UTC)
    assert [(row.inserted, row.updated, row.author) for row in list_imports(world.url)] == [
        (0, 1, "follow"),
        (2, 0, "follow"),
        (1, 0, "follow"),
    ]


def test_the_next_follower_goes_on_and_makes_no_import_of_what_is_known(world: World) -> None:
    world.write(HEADER + closed(1, 2))
    for _ in range(2):
        with world.follower():
            world.hear("2 rows")
    assert [(row.inserted, row.unchanged) for row in list_imports(world.url)] == [(2, 0)]
    world.write(closed(3))
    with world.follower():
        assert "3 rows: 1 new, 0 updated, 2 known" in world.hear("row")
    assert [row.inserted for row in list_imports(world.url)] == [1, 2]


def test_what_is_undone_leaves_the_rest(world: World) -> None:
    """Each arrival is an import: undone, it leaves what the others tell."""
    with world.follower():
        for text in (HEADER + closed(1) + OPEN.format(2), closed(2), closed(3)):
            world.write(text)
            world.hear("row")
    undo_import(world.url, 2, "ann", NOW)
    assert world.trades() == [("1", "closed"), ("2", "open"), ("3", "closed")]


@pytest.mark.parametrize("while_followed", [True, False])
def test_a_file_that_is_moved_away_is_read_to_its_end(world: World, while_followed: bool) -> None:
    world.write(HEADER + closed(1))
    with world.follower():
        world.hear("1 row")
        if while_followed:
            rotate(world)
            world.hear("was moved to trades.csv.1")
            await_that(lambda: len(world.trades()) == 3)
            with world.path.with_name("trades.csv.1").open("a") as late:  # its writer has not noticed yet
                late.write(closed(4))
            await_that(lambda: len(world.trades()) == 4)
    if not while_followed:
        rotate(world)
        with world.follower():
            await_that(lambda: len(world.trades()) == 3)
    assert [id_ for id_, _ in world.trades()] == ["1", "2", "3", "4"][: 4 if while_followed else 3]
    assert world.ask("SELECT count(*), count(DISTINCT (bot_id, source)) FROM trades")[0][1] == 1


def rotate(world: World) -> None:
    """A row more, and the file makes room for another one with the next."""
    world.write(closed(2))
    world.path.rename(world.path.with_name("trades.csv.1"))
    world.write(HEADER + closed(3))


def looking(world: World) -> Callable[[], None]:
    """A follower that looks when it is told to."""
    follower = Follower(world.url, [world.path], FileOptions().read_growing, world.words.put)
    (one,) = follower._begin()
    return lambda: follower._look(one)


@pytest.mark.parametrize("anew", [closed(4), closed(4, 5, 6, 7, 8), ""], ids=["shorter", "longer", "header"])
def test_a_file_that_is_copied_and_cut_off_is_read_to_its_end(world: World, anew: str) -> None:
    """Also where what came in its place is longer than what was read of it."""
    look = looking(world)
    world.write(HEADER + closed(1))
    look()
    world.write(closed(2, 3))
    shutil.copy(world.path, world.path.with_name("trades.csv.1"))
    with world.path.open("r+") as file:
        file.truncate()
    world.write(HEADER + anew)
    look()
    look()
    assert "trades.csv was copied to trades.csv.1" in world.hear("was copied")
    world.write(closed(9))
    look()
    ids = [id_ for id_, _ in world.trades()]
    assert ids == ["1", "2", "3", *(line.split(",")[0] for line in anew.splitlines()), "9"]
    assert sum(row.inserted for row in list_imports(world.url)) == len(ids)
    assert all(row.unchanged == 0 for row in list_imports(world.url))


def test_a_file_that_is_copied_deleted_and_begun_anew_is_read_to_its_end(world: World) -> None:
    look = looking(world)
    world.write(HEADER + closed(1))
    look()
    world.write(closed(2))
    shutil.copy(world.path, world.path.with_name("trades-2025.csv"))
    world.path.unlink()
    world.write(HEADER + closed(3))
    look()
    look()
    assert [id_ for id_, _ in world.trades()] == ["1", "2", "3"]


def test_a_file_that_is_cut_off_while_it_is_read_loses_nothing(world: World) -> None:
    """Between what is read and what is looked at afterwards: the copy is found by the next reading."""
    read = FileOptions().read_growing
    cuts = iter([False, True])

    def cut_off(path: Path, content: Path, source: str | None, now: datetime) -> Reading:
        reading = read(path, content, source, now)
        if next(cuts, False):
            world.write(closed(3))
            shutil.copy(path, path.with_name("trades.csv.1"))
            path.write_text(HEADER + closed(4))
        return reading

    follower = Follower(world.url, [world.path], cut_off, world.words.put)
    (one,) = follower._begin()
    for text in (HEADER + closed(1), closed(2)):
        world.write(text)
        follower._look(one)
    follower._look(one)
    assert [id_ for id_, _ in world.trades()] == ["1", "2", "3", "4"]


def test_the_hash_of_an_arrival_is_that_of_what_was_read(world: World) -> None:
    """A file that grows while it is read is not noted as what it is afterwards."""
    read = FileOptions().read_growing
    world.write(HEADER + closed(1))
    content = world.path.read_bytes()

    def grows(path: Path, where: Path, source: str | None, now: datetime) -> Reading:
        reading = read(path, where, source, now)
        world.write(closed(2))
        return reading

    follower = Follower(world.url, [world.path], grows, world.words.put)
    follower._look(follower._begin()[0])
    assert [row.content_hash for row in list_imports(world.url)] == [hashlib.sha256(content).hexdigest()]


def test_a_plain_table_keeps_its_source_when_another_strategy_comes(world: World) -> None:
    world.write(HEADER + closed(1))
    with world.follower():
        world.hear("1 new")
        world.write(closed(2, strategy="trend"))
        world.hear("1 new")
    with world.follower():  # also one that remembers nothing
        world.hear("0 new, 0 updated, 2 known")
    assert world.ask("SELECT DISTINCT source FROM trades") == [("table:grid",)]


def test_what_cannot_be_read_is_told_once_noted_and_read_once_it_can(world: World) -> None:
    world.path.write_text("name,colour\na,red\n")
    with world.follower():
        assert "trades.csv" in world.hear("column")
        await_that(lambda: world.status()["trouble"] is not None)
        world.path.write_text(HEADER + closed(1).replace("100", "-1") + closed(2))
        assert "2 rows: 1 new, 0 updated, 1 held" in world.hear("row")
    assert world.status()["trouble"] is None
    assert world.words.empty()


def test_a_file_that_breaks_its_reader_keeps_no_other_from_being_read(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    poison = tmp_path / "poison.json"
    poison.write_text("{}")
    world.write(HEADER + closed(1))
    read = FileOptions().read_growing

    def broken(path: Path, content: Path, source: str | None, now: datetime) -> Reading:
        if path == poison:
            raise IndexError("what nobody foresaw")
        return read(path, content, source, now)

    follower = Follower(world.url, [poison, world.path], broken, world.words.put)
    for one in follower._begin():
        follower._look(one)
    assert "by a fault of this program" in world.hear(str(poison) + ":")
    assert world.trades() == [("1", "closed")]
    assert "what nobody foresaw" in caplog.text


def test_a_database_that_comes_back_with_less_is_told_all_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restored backup: what was recorded before it is no more."""
    monkeypatch.setattr(follow, "RECONNECT", (0.01, 0.01))
    load = follow.load_trades
    world.write(HEADER + closed(1))
    with world.follower():
        world.hear("1 new")

        def restored(*args: object, **options: object) -> object:
            monkeypatch.setattr(follow, "load_trades", load)
            world.ask("DELETE FROM trades RETURNING trade_id")
            raise psycopg.OperationalError("the server went away")

        monkeypatch.setattr(follow, "load_trades", restored)
        world.write(closed(2))
        world.hear("Trying again")
        await_that(lambda: world.trades() == [("1", "closed"), ("2", "closed")])


def test_trouble_of_a_file_lasts_though_its_api_answers(world: World) -> None:
    world.path.write_text("name,colour\na,red\n")
    follower = Follower(world.url, [world.path], FileOptions().read_growing, world.words.put,
                        refresh={world.path: lambda: None})  # fmt: skip
    (one,) = follower._begin()
    for _ in range(2):
        follower._look(one)
    assert "column" in (world.status()["trouble"] or "")


def test_a_file_that_may_not_be_looked_at_keeps_no_other_from_being_followed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = tmp_path / "lost.csv"
    look = follow.look

    def refuses(path: Path) -> object:
        if path == lost:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(follow, "look", refuses)
    over = Event()
    follower = Follower(world.url, [lost, world.path], FileOptions().read_growing, world.words.put, stop=over.is_set)
    world.write(HEADER + closed(1))
    thread = Thread(target=follower.run)
    thread.start()
    try:
        world.hear("Permission denied")
        await_that(lambda: world.trades() == [("1", "closed")])
    finally:
        over.set()
        thread.join(PATIENCE)


def test_a_database_that_is_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    load = follow.load_trades

    def breaks_once(*args: object, **options: object) -> object:
        if next(calls) == 0:
            raise psycopg.OperationalError("the server went away")
        return load(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(follow, "load_trades", breaks_once)
    monkeypatch.setattr(follow, "RECONNECT", (0.01, 0.01))
    world.write(HEADER + closed(1))
    with world.follower():
        world.hear("the server went away\nTrying again in 0.01 s.")
        world.hear("1 new")


def test_a_live_database_is_never_locked(world: World, tmp_path: Path) -> None:
    """A writer that does not wait for locks, and looks after its log of changes, is never refused."""
    world.path = tmp_path / "trades.sqlite"
    with closing(sqlite3.connect(world.path, timeout=0, isolation_level=None)) as writer:
        names = HEADER.strip().split(",")
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_autocheckpoint = 3")
        writer.execute(f"CREATE TABLE trades ({', '.join(names)})")
        with world.follower():
            for id_ in range(1, 41):
                row = CLOSED.format(id_, "grid").strip().split(",")
                writer.execute(f"INSERT INTO trades VALUES ({', '.join('?' * len(names))})", row)
                if id_ % 10 == 0:
                    await_that(lambda id_=id_: len(world.trades()) == id_)
    assert len(world.trades()) == 40


def program(url: str, home: Path, log: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """A follower as a process of its own."""
    environment = {**os.environ, "KNOWDEFEAT_DATABASE_URL": url, "KNOWDEFEAT_HOME": str(home)}
    with log.open("ab") as file:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "knowdefeat"), "follow", *map(str, arguments)],
            env=environment, stdout=file, stderr=file,
        )  # fmt: skip


@pytest.mark.long
def test_followers_that_are_killed_while_a_database_is_written_and_moved_lose_and_double_nothing(
    database: str, tmp_path: Path
) -> None:
    """Two kills, of which the second while the database is moved away with rows that nobody has read."""
    path, log = tmp_path / "bot" / "trades.sqlite", tmp_path / "log"
    path.parent.mkdir()
    world = World(database, path)
    names = HEADER.strip().split(",")

    def insert(ids: range) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = WAL")
            writer.execute(f"CREATE TABLE IF NOT EXISTS trades ({', '.join(names)})")
            for id_ in ids:
                row = CLOSED.format(id_, "grid").strip().split(",")
                writer.execute(f"INSERT INTO trades VALUES ({', '.join('?' * len(names))})", row)

    follower = program(database, tmp_path, log, path)
    try:
        for step, ids in enumerate((range(1, 4), range(4, 7), range(7, 10))):
            insert(ids)
            if step < 2:
                await_that(lambda: len(world.trades()) > 0)
                follower.send_signal(signal.SIGKILL)
                follower.wait()
            if step == 1:
                path.rename(path.with_name("trades.sqlite.1"))
            if step < 2:
                follower = program(database, tmp_path, log, path)
        await_that(lambda: len(world.trades()) == 9)
    finally:
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(PATIENCE) == 0, log.read_text()
    assert [int(id_) for id_, _ in world.trades()] == [*range(1, 10)]
    assert world.ask("SELECT count(*) FROM trade_quarantine") == [(0,)]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., object]:
    def of(text: str) -> object:
        path = tmp_path / "trades.csv"
        path.write_text(HEADER + text)
        return read_trades(path, now=NOW, source="s")

    return of


def test_news_are_new_and_changed_rows_wherever_they_stand(read: Callable) -> None:
    bad = closed(9).replace("100", "-1")
    before = Known.of(read(closed(1, 2) + bad))
    found = news(read(bad + closed(2) + closed(1).replace("110", "120") + closed(3) + "4,7\n"), before)
    assert found.valid["source_trade_id"].tolist() == ["1", "3"]
    assert found.valid["row_number"].tolist() == [3, 4]
    assert found.refused["row_number"].tolist() == [5]
    assert found.rows_read == 3
    assert news(read(closed(2)), before).rows_read == 0
    assert news(read(closed(2)), None).rows_read == 1


def test_a_file_is_found_again_by_what_it_is(tmp_path: Path) -> None:
    path, other = tmp_path / "trades[1].csv", tmp_path / "bot.csv"
    path.write_text("a")
    state = look(path)
    assert state is not None
    assert moved(path, state.identity) is None
    path.rename(path.with_name("trades[1].csv.1"))
    path.write_text("b")
    assert look(path).identity != state.identity
    assert moved(path, state.identity) == path.with_name("trades[1].csv.1")
    path.with_name("trades[1].csv.1").rename(other)  # a name that says nothing of it
    assert moved(path, state.identity) is None
    assert look(tmp_path / "none") is None
