"""A server with a small fleet that faults are injected into: bots that close trades, and `knowdefeat` over them."""

import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import psycopg

from knowdefeat_pipeline.cli import main
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.postgres.connection import close_idle, connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.store.funds import save_settings
from tests.faults.clean import differing
from tests.faults.matrix import Outcome

CLOSE = (
    "INSERT INTO trades (source, source_trade_id, bot_id, ticker, direction, status, entry_time, exit_time, entry_price,"
    " exit_price, notional) SELECT 'test', %s, 1, 'COIN', 'LONG', 'closed', now - interval '1 hour', now, 100, 101, 100"
    " FROM clock_timestamp() AS now ON CONFLICT DO NOTHING"
)
COUNTED = (
    "SELECT coalesce(sum(lifetime_trades), 0)::int FROM bot_metrics"
    " WHERE ticker = '*' AND day = (SELECT max(day) FROM bot_metrics)"
)
CLOSED = "SELECT count(*)::int FROM trades WHERE status = 'closed' AND source IS DISTINCT FROM 'test'"


class Traceback(AssertionError):
    """A command ended in a traceback where its user should have been told something."""


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit status, and the error that it told, in one line."""

    status: int
    message: str


def knowdefeat(*arguments: str) -> Said:
    """A command in this process, which saves the start of another one. Raises Traceback."""
    said, status = StringIO(), 0
    with patch.object(sys, "argv", ["knowdefeat", *arguments]), redirect_stdout(said), redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        except Exception:  # noqa: BLE001 (whatever it is, its user saw a traceback)
            raise Traceback(f"{said.getvalue()}\n{traceback.format_exc()}") from None
    text = said.getvalue()
    if "Traceback (most recent call last)" in text:
        raise Traceback(text)
    return Said(status, " ".join(text.rpartition("Error: ")[2].split()) if status else "")


class World:
    """The server in `home`, and the trades that were closed on it; or on another database, once they `move`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server = EmbeddedPostgres(home, timeout=60.0)
        self._elsewhere: str | None = None
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._fleet = 0

    @property
    def url(self) -> str:
        """The address of the database, whose server is started if need be and it is ours."""
        return self._elsewhere or self.server.ensure_running()

    def move(self, url: str) -> None:
        """From here on bots, commands and looks go to this database."""
        self._elsewhere = os.environ["KNOWDEFEAT_DATABASE_URL"] = url

    def new_database(self, name: str) -> str:
        """The address of a new, empty database of the server."""
        with connect(self.server.ensure_running()) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.server.url_for(name)

    def count_fleet(self) -> None:
        """Note how many trades there are before anything happens."""
        with connect(self.url) as connection:
            ((self._fleet,),) = connection.execute(CLOSED).fetchall()

    def close_trades(self, number: int, connection: psycopg.Connection | None = None) -> None:
        """So many trades in one transaction, over an open session or a new one: all acknowledged, or all refused."""
        begin = len(self.acknowledged) + len(self.refused)
        self._record([str(begin + at) for at in range(number)], connection)

    def try_again(self) -> None:
        """The bots send once more what was refused or of which they do not know."""
        again, self.refused = self.refused, []
        self._record(again)

    def _record(self, names: list[str], connection: psycopg.Connection | None = None) -> None:
        try:
            if connection is None:
                with psycopg.connect(self._found(), autocommit=True) as own:
                    write(own, names)
            else:
                write(connection, names)
        except psycopg.OperationalError:
            self.refused += names
        else:
            self.acknowledged += names

    def _found(self) -> str:
        """Where a bot connects, which starts no server."""
        return self._elsewhere or self.server.find() or "host=127.0.0.1 port=1"

    def counted(self) -> int:
        """How many trades the figures of the last day count, those of the fleet left out."""
        with connect(self.url) as connection:
            ((counted,),) = connection.execute(COUNTED).fetchall()
        return int(counted) - self._fleet

    def run(self) -> Said:
        """`knowdefeat run`."""
        return knowdefeat("run")

    def outcome(self, injected: str, happened: str, message: str = "") -> Outcome:
        """The bots try again, and a run computes what is there; how that compares with what was acknowledged."""
        assert self.url  # the server is started again
        self.try_again()
        after = self.run()
        assert after.status == 0, after.message
        assert not self.refused
        with connect(self.url) as connection:
            names = [name for (name,) in connection.execute("SELECT source_trade_id FROM trades WHERE source = 'test'")]
        counted = self.counted()
        missing = len(set(self.acknowledged) - set(names))
        twice = len(names) - len(set(names))
        lost = missing + max(0, len(names) - counted)
        return Outcome(injected, happened, lost, twice + max(0, counted - len(names)), differing(self.url), message)


def write(connection: psycopg.Connection, names: list[str]) -> None:
    """Insert closed trades of these names, in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(CLOSE, [(name,) for name in names])


@contextmanager
def environment(home: Path) -> Iterator[None]:
    """Every process and function that is called works on the server of this home."""
    with patch.dict(os.environ, {"KNOWDEFEAT_HOME": str(home)}):
        os.environ.pop("KNOWDEFEAT_DATABASE_URL", None)
        yield


@contextmanager
def computed_fleet() -> Iterator[Path]:
    """The home of a stopped server with funds and the trades of a small fleet, all computed: to be copied."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as folder, environment(Path(folder)):
        server = EmbeddedPostgres(Path(folder))
        try:
            assert knowdefeat("simulate", "--bots", "5", "--days", "8").status == 0
            with connect(server.ensure_running()) as connection:
                save_settings(connection, FundSettings("USD", 100_000), "test", "funds to divide")
            assert knowdefeat("run").status == 0
        finally:
            close_idle()
            server.stop()
        yield Path(folder)


@contextmanager
def world(
    computed: Path,
    settings: Mapping[str, str] | None = None,
    around: Callable[[Path], AbstractContextManager[None]] = nullcontext,
) -> Iterator[World]:
    """A copy of `computed` that runs with these settings of the server, as long as `around` its home lasts."""
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as folder, environment(Path(folder)):
        copy(computed / "postgres", Path(folder) / "postgres")
        with (Path(folder) / "postgres" / "data" / "postgresql.conf").open("a") as file:
            file.writelines(
                f"{name} = '{value}'\n" for name, value in ({"fsync": "off"} | dict(settings or {})).items()
            )
        with around(Path(folder)):
            made = World(Path(folder))
            try:
                made.count_fleet()
                yield made
            finally:
                close_idle()
                made.server.stop()


def copy(source: Path, target: Path) -> None:
    """Copy a folder with owners and modes, which the server insists upon, also into a folder that exists."""
    target.mkdir(parents=True, exist_ok=True)
    program = shutil.which("cp")
    assert program
    subprocess.run([program, "-a", f"{source}/.", str(target)], check=True)
