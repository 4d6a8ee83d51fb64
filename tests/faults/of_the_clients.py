"""Faults of those who use the server: slow writers, wrong clocks, lost connections."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.postgres.connection import copy_arrow
from knowdefeat_pipeline.steps import metrics
from knowdefeat_pipeline.store import results
from tests.faults.matrix import CannotInject, Outcome
from tests.faults.world import World, world, write
from tests.postgres.poolers import BOUNCER, pooler

TRADES = 5


def long_transaction(computed: Path) -> Outcome:
    """A writer keeps its transaction open while days are computed over what came later."""
    with world(computed) as at, psycopg.connect(at.url, autocommit=True) as writer:
        held = [f"held {number}" for number in range(TRADES)]
        writer.execute("BEGIN")
        write(writer, held)  # a part of that transaction
        at.close_trades(TRADES)
        assert at.run().status == 0
        before = at.counted()
        writer.execute("COMMIT")
        at.acknowledged += held
        assert before == TRADES
        assert at.run().status == 0
        assert at.counted() == 2 * TRADES
        happened = f"{TRADES} trades not counted before the writer's commit, counted by the run after it"
        return at.outcome("a writer's transaction left open", happened)


class _Anywhen(type):
    """Instants of the real class are instants of the wrong clock."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


@contextmanager
def wrong_clock(by: timedelta) -> Iterator[type[datetime]]:
    """This application's clock, not the database's, is wrong by so much."""

    class Wrong(datetime, metaclass=_Anywhen):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    with ExitStack() as stack:
        for name, module in [*sys.modules.items()]:
            if name.startswith("knowdefeat_pipeline") and getattr(module, "datetime", None) is datetime:
                stack.enter_context(patch.object(module, "datetime", Wrong))
        yield Wrong


def _clock_jumps(computed: Path, hours: int) -> Outcome:
    by = timedelta(hours=hours)
    with world(computed) as at:
        at.close_trades(TRADES)
        with wrong_clock(by) as clock:
            assert abs(clock.now(UTC) - datetime.now(UTC) - by) < timedelta(minutes=1)
            assert at.run().status == 0
        assert at.counted() == TRADES
        way = "ahead" if hours > 0 else "behind"
        happened = "trades that closed just now by the database were counted at once"
        return at.outcome(f"application's clock jumps {abs(hours)} h {way}", happened)


def clock_behind(computed: Path) -> Outcome:
    """The application's clock jumps two hours behind."""
    return _clock_jumps(computed, -2)


def clock_ahead(computed: Path) -> Outcome:
    """The application's clock jumps two hours ahead."""
    return _clock_jumps(computed, 2)


class _Cut:
    """Ends a session of the server, once."""

    def __init__(self, at: World) -> None:
        self.url, self.done = at.url, False

    def __call__(self, connection: psycopg.Connection) -> None:
        if self.done:
            return
        self.done = True
        with psycopg.connect(self.url, autocommit=True) as other:
            ended = other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,)).fetchone()
        assert ended == (True,)


def _before_writing(cut: _Cut) -> Any:
    def replace(connection: psycopg.Connection, *arguments: Any) -> int:
        cut(connection)
        return results.replace_days(connection, *arguments)

    return patch.object(metrics, "replace_days", replace)


def _while_copying(cut: _Cut) -> Any:
    def parts(connection: psycopg.Connection, rows: pa.Table | Iterable[pa.Table]) -> Iterator[pa.Table]:
        for part in [rows] if isinstance(rows, pa.Table) else rows:
            yield part
            cut(connection)
            yield part.slice(0, 0)  # the server is told of the next part, or of the end

    def copy(connection: psycopg.Connection, name: str, rows: pa.Table | Iterable[pa.Table]) -> int:
        return copy_arrow(connection, name, parts(connection, rows))

    return patch.object(results, "copy_arrow", copy)


def before_the_commit(cut: Callable[[psycopg.Connection], None]) -> Any:
    """A fault at the end of the transaction that writes metrics, as long as the `with` lasts."""
    original = metrics.mark

    def mark(connection: psycopg.Connection, *arguments: Any) -> None:
        original(connection, *arguments)
        cut(connection)

    return patch.object(metrics, "mark", mark)


def _connection_lost(computed: Path, phase: str, broken: Callable[[_Cut], Any]) -> Outcome:
    with world(computed) as at:
        at.close_trades(TRADES)
        cut = _Cut(at)
        with broken(cut):
            during = at.run()
        assert cut.done
        assert during.status == 1
        assert at.counted() == 0  # nothing of the step was written
        happened = "the run failed, its step wrote nothing, the next run was whole"
        return at.outcome(f"session ended {phase}", happened, during.message)


def lost_before_writing(computed: Path) -> Outcome:
    """The session ends before a step writes."""
    return _connection_lost(computed, "before a step writes", _before_writing)


def lost_while_copying(computed: Path) -> Outcome:
    """The session ends in the middle of a COPY."""
    return _connection_lost(computed, "in the middle of a COPY", _while_copying)


def lost_before_the_commit(computed: Path) -> Outcome:
    """The session ends when all is written and nothing committed."""
    return _connection_lost(computed, "before a step's commit", before_the_commit)


def pooler_killed(computed: Path) -> Outcome:
    """kill -9 of the pooler between a run and the server, before a step's commit."""
    if BOUNCER is None:
        raise CannotInject("pgbouncer is not installed")
    with world(computed) as at, tempfile.TemporaryDirectory() as folder:
        at.close_trades(TRADES)
        Path(folder).chmod(0o755)  # pgbouncer does not run as root
        with pooler(at.url, Path(folder), "session") as through:
            os.environ["KNOWDEFEAT_DATABASE_URL"] = through
            with before_the_commit(lambda session: _kill_pooler(folder)):
                during = at.run()
            del os.environ["KNOWDEFEAT_DATABASE_URL"]
        assert during.status == 1
        happened = "the run failed, its step wrote nothing; the next run, without a pooler, was whole"
        return at.outcome("kill -9 of the pooler before a step's commit", happened, during.message)


def _kill_pooler(folder: str) -> None:
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "pgbouncer" and any(folder in part for part in process.info["cmdline"]):
            process.kill()
