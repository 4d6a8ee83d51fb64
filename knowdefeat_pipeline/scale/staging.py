"""Where the shards of a plan leave their rows, each in one transaction, until another one publishes them all.

The server keeps them as parts that it does not look into, streams of Arrow: to copy rows into a table and from there
into another one would cost it nearly twice what one copy does.

Each shard is written once: who comes second, as after a worker that was taken for dead, finds it there. A plan lives
as long as the session that began it. What one that is over left, whoever stages next removes, and nobody can add to it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import date
from itertools import count
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.core.units import Ints
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect, copy_arrow
from knowdefeat_pipeline.scale.plan import Refresh

PART_ROWS = 8_192  # what a part takes, a worker holds several times
_LOCK = int.from_bytes(b"kpln", "big")  # the class of the advisory locks, one per plan, that those alive are known by
_PATIENCE = "5s"  # for which shards that are still being written are waited for

_STAGE = "INSERT INTO staged_parts VALUES (%s, %s, %s, %s, %b)"  # binary: as text a part would be twice as large

Done = dict[str, Any]
"""What a shard says of itself: a handful of numbers."""


class StagingLost(KnowDefeatError):
    """A plan is over, or its shards are not all there; the message says what to do."""

    page = "scale.md#when-something-ends"


class Staging:
    """The staging of one plan, of whose number and life the session `connection` has charge."""

    def __init__(self, url: str, connection: psycopg.Connection, plan: int) -> None:
        self.url, self.connection, self.plan = url, connection, plan
        # What is staged, what the shards said of it together, and under which marks the metrics were published.
        self.refresh: Refresh | None = None
        self.counts: dict[str, Ints] = {}
        self.marks: Sequence[Any] = ()

    def is_of(self, marks: Sequence[Any]) -> bool:
        """Whether the metrics of these marks are what is staged."""
        return bool(self.marks) and [of.number for of in self.marks] == [of.number for of in marks]

    def require(self, shards: int) -> None:
        """Raise StagingLost unless so many shards are there."""
        found = self.connection.execute("SELECT count(*) FROM staged_shards WHERE plan = %s", (self.plan,)).fetchone()
        if found != (shards,):
            raise StagingLost(
                f"Of {shards} shards {found[0] if found else 0} are staged: the database was restarted meanwhile. "
                "Nothing was published. Run it again."
            )

    def read(self, meant: str) -> Generator[pa.Table, None, None]:
        """What all shards left for a table, shard by shard, some rows at a time."""
        asked = "SELECT content FROM staged_parts WHERE (plan, meant) = (%s, %s) ORDER BY shard, number"
        with self.connection.cursor() as cursor:
            for (content,) in cursor.stream(asked, (self.plan, meant), binary=True):
                yield pa.ipc.open_stream(content).read_all()

    def publish(self, connection: psycopg.Connection, table: str, first: date, last: date) -> None:
        """Replace the table's rows of the days first..last by what the shards left; call it inside a transaction."""
        connection.execute(
            sql.SQL("DELETE FROM {} WHERE day BETWEEN %s AND %s").format(sql.Identifier(table)), (first, last)
        )
        with closing(self.read(table)) as rows:
            copy_arrow(connection, table, rows)


@contextmanager
def begun(url: str) -> Iterator[Staging]:
    """A staging, which is gone at the end, whatever that is."""
    with ExitStack() as stack:
        connection = stack.enter_context(connect(url))
        connection.execute("SET idle_session_timeout = 0")  # it waits for the shards
        sweep(connection)
        with connection.transaction():
            ((plan,),) = connection.execute("INSERT INTO staged_plans DEFAULT VALUES RETURNING plan").fetchall()
            connection.execute("SELECT pg_advisory_lock(%s, %s)", (_LOCK, plan))
        stack.callback(_drop_quietly, connection, plan)
        yield Staging(url, connection, plan)


def write(url: str, plan: int, shard: int, compute: Callable[[psycopg.Connection], Iterator[tuple[str, Any]]]) -> Done:
    """Compute and stage a shard, unless that is done; what it says of itself.

    `compute` yields the name of one table after the other with the rows that are meant for it, a table or several, and
    at last ("", what the shard says). Raises StagingLost where the plan is over.
    """
    with connect(url) as connection, connection.transaction():
        # Whoever writes the same shard at this moment is waited for here.
        try:
            noted = connection.execute(
                "INSERT INTO staged_shards VALUES (%s, %s, '{}') ON CONFLICT DO NOTHING", (plan, shard)
            ).rowcount
        except psycopg.errors.ForeignKeyViolation:
            raise StagingLost(
                f"The refresh {plan} of which this is a shard is over, or not in the database that this worker "
                "reaches. Give all workers the same KNOWDEFEAT_DATABASE_URL."
            ) from None
        if not noted:
            return _said(connection, plan, shard)
        done: Done = {}
        for meant, rows in compute(connection):
            if meant:
                _stage(connection, (plan, shard, meant), [rows] if isinstance(rows, pa.Table) else rows)
            else:
                done = rows
        connection.execute(
            "UPDATE staged_shards SET done = %s WHERE (plan, shard) = (%s, %s)", (Jsonb(done), plan, shard)
        )
        return done


def _stage(connection: psycopg.Connection, place: tuple[int, int, str], tables: Iterable[pa.Table]) -> None:
    """Each table as one part or several; one without rows is a part too, which says what columns there are."""
    number = count()
    for table in tables:
        for begin in range(0, max(len(table), 1), PART_ROWS):
            content = _encoded(table.slice(begin, PART_ROWS))
            connection.execute(_STAGE, (*place, next(number), content))


def _encoded(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def _said(connection: psycopg.Connection, plan: int, shard: int) -> Done:
    row = connection.execute("SELECT done FROM staged_shards WHERE (plan, shard) = (%s, %s)", (plan, shard)).fetchone()
    done: Mapping[str, Any] = row[0] if row else {}
    return dict(done)


def sweep(connection: psycopg.Connection) -> list[int]:
    """Remove what plans left whose sessions have ended; which these are."""
    over = []
    for (plan,) in connection.execute("SELECT plan FROM staged_plans").fetchall():
        if connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK, plan)).fetchone() == (True,):
            over += [plan] if drop(connection, plan) else []
    return over


def drop(connection: psycopg.Connection, plan: int) -> bool:
    """Remove a plan, whose lock this session holds, and its rows; whether that could be done.

    Where a shard of it is still being written, as by a worker that stands still, whoever stages next does it.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (_PATIENCE,))
            # No plan can begin meanwhile, so that no other has rows where none is there.
            connection.execute("LOCK TABLE staged_plans IN SHARE ROW EXCLUSIVE MODE")
            connection.execute("DELETE FROM staged_plans WHERE plan = %s", (plan,))
            alone = connection.execute("SELECT FROM staged_plans").fetchone() is None
            if alone:
                connection.execute("TRUNCATE staged_parts")
            else:
                connection.execute("DELETE FROM staged_parts WHERE plan = %s", (plan,))
        return True
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", (_LOCK, plan))


def _drop_quietly(connection: psycopg.Connection, plan: int) -> None:
    """Where the database is away, whoever stages next does it."""
    with suppress(psycopg.OperationalError):
        drop(connection, plan)
