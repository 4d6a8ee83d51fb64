"""Connections to PostgreSQL, and bulk reads and writes as Arrow tables."""

import atexit
import os
import re
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.copy import LibpqWriter, QueuedLibpqWriter
from psycopg.postgres import types as postgres_types
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg_pool import ConnectionPool

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.remedies import remedy
from knowdefeat_pipeline.settings import ROOT

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection as ArrowConnection
    from pgpq import ArrowToPostgresBinaryEncoder

QUERIES = ROOT / "sql" / "queries"
OLDEST_SERVER = 14  # PostgreSQL's major version
CONNECT_TIMEOUT = 10  # seconds
START_UP = 60.0  # seconds that a server which says that it is starting up (as after a crash) is waited for
CANCEL_TIMEOUT = 5.0  # seconds
COPYING = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
POOL_TIMEOUT = 5.0  # seconds that a request waits for a connection
ROWS_PER_MESSAGE = 8_192
MESSAGES_AHEAD = 8  # that may wait to be sent, a few megabytes each
PROGRAM = "knowdefeat"  # how sessions name themselves, before the number of their process and its host
LONGEST_HOST = 40  # characters of a host's name: PostgreSQL cuts the whole at 63

# A host that vanishes (power, a cable, a machine that is taken away) says nothing. Without these its sessions keep
# their locks for up to two hours, and a program waits as long for a server that is gone; with them, some 25 seconds.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
SERVER_KEEPALIVES = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=20000"
)

_JSONB = postgres_types["jsonb"].oid

# An unescaped @ : or / in a password shifts the parts of a URL, and libpq's messages would then show a piece of it.
_HOST = r"(\[[^\]@/]*\]|[^@/?#:,\[]*)(:\d*)?"
_URL = re.compile(rf"postgresql://([^@/?#]*@)?{_HOST}(,{_HOST})*(/[^@/?#]*)?(\?[^@#]*)?")


# Connections of read_arrow that nobody uses, for the last process (a fork must not share one) and URL.
_IDLE: dict[tuple[int, str], "deque[ArrowConnection]"] = {}

_PLACEHOLDER = re.compile(r"\$(\d+)")


class Session(psycopg.Connection):
    """A connection whose statement is cancelled in the server too, whatever ends the wait for it here.

    The driver does so for KeyboardInterrupt alone. Dagster turns signals into an exception of its own, after which the
    connection would be busy, and a rollback fail with a warning.
    """

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """As the driver's."""
        try:
            return super().wait(gen, *arguments, **options)
        except Exception:
            raise
        except BaseException:
            if self._is_busy():
                self.cancel_safe(timeout=CANCEL_TIMEOUT)
                with suppress(psycopg.errors.QueryCanceled):
                    super().wait(gen)
                self._read_to_the_end()
            raise

    def _is_busy(self) -> bool:
        return self.pgconn.transaction_status == TransactionStatus.ACTIVE

    def _read_to_the_end(self) -> None:
        """What came of a statement that was cancelled: where the signal came while `gen` itself ran, that has ended."""
        while self._is_busy() and (result := self.pgconn.get_result()) is not None:
            if result.status in COPYING:  # whoever copies ends that
                break


class DatabaseUnreachable(KnowDefeatError):
    """No usable connection: the message names the address (never the password) and the remedy."""

    page = "guides/database.md"


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode, its session in UTC: group statements by `with connection.transaction():`.

    Raises DatabaseUnreachable, also for a server older than PostgreSQL 14.
    """
    conninfo = _conninfo(url)
    deadline = time.monotonic() + START_UP
    while True:
        try:
            connection = Session.connect(conninfo, autocommit=True)
            break
        except psycopg.OperationalError as error:
            if "the database system is starting up" not in str(error) or time.monotonic() > deadline:
                raise _unreachable(conninfo, error) from None
            time.sleep(0.1)
    version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        connection.close()
        raise DatabaseUnreachable(
            f"{_address(conninfo)} runs PostgreSQL {version}; {OLDEST_SERVER} or newer is needed. Upgrade that server, "
            "or unset KNOWDEFEAT_DATABASE_URL to use the embedded one."
        )
    return connection


def open_pool(url: str, most: int) -> ConnectionPool:
    """Connections as those of `connect` for many threads, at most so many; one that broke is replaced.

    It opens them while it is entered, and waits for none: who asks for one while the database is away gets PoolTimeout.
    Every statement is planned for what it asks: a plan for whatever may be asked, which the server makes of one that
    comes often, reads the days of all bots for those of a few, and takes ten times as long.
    """
    return ConnectionPool(
        _conninfo(url), connection_class=Session, kwargs={"autocommit": True, "prepare_threshold": None},
        min_size=1, max_size=most,
        timeout=POOL_TIMEOUT, check=ConnectionPool.check_connection, open=False,
    )  # fmt: skip


async def listen(url: str, channel: str) -> psycopg.AsyncConnection:
    """A connection that hears what is notified on the channel. Raises psycopg.OperationalError."""
    connection = await psycopg.AsyncConnection.connect(_conninfo(url), autocommit=True)
    await connection.execute("SET idle_session_timeout = 0")  # it only listens
    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
    return connection


def one_transaction(connection: psycopg.Connection) -> AbstractContextManager[object]:
    """A transaction, or the one that is under way.

    For a part whose failure undoes the whole: a savepoint would cost two round trips for nothing.
    """
    if connection.info.transaction_status == TransactionStatus.IDLE:
        return connection.transaction()
    return nullcontext()


def connect_arrow(url: str) -> "ArrowConnection":
    """A connection for `read_arrow`, in autocommit mode and UTC. Opening one takes some 40 ms: keep it for many reads.

    Raises DatabaseUnreachable.
    """
    from adbc_driver_postgresql import dbapi as adbc  # imports pandas: 0.3 s that only readers should pay

    conninfo = _conninfo(url)
    try:
        connection: ArrowConnection = adbc.connect(conninfo, autocommit=True)
    except adbc.Error as error:
        raise _unreachable(conninfo, error) from None
    return connection


def read_arrow(source: "str | ArrowConnection", statement: str, parameters: Sequence[Any] = ()) -> "pa.Table":
    """The rows of a query (`$1`, `$2`, … stand for the parameters; one may be a list: `= ANY($1)`).

    `source` is a URL, whose connection is kept for the next read, or a connection of `connect_arrow`. timestamptz
    arrives as timestamp[us, UTC]. Cast `numeric` to `float8` in the statement: Arrow gets its text otherwise.
    Parameters are quoted into the text by psycopg, as ADBC reads by COPY, up to twice as fast, only without bound ones.
    Raises DatabaseUnreachable and adbc.Error.
    """
    if isinstance(source, str):
        return _read_pooled(source, statement, parameters)
    with source.cursor() as cursor:
        cursor.execute(quoted(statement, parameters))
        return cursor.fetch_arrow_table()


@contextmanager
def stream_arrow(url: str, statement: str, parameters: Sequence[Any] = ()) -> "Iterator[pa.RecordBatchReader]":
    """The rows of a query as `read_arrow` reads them, but batch by batch: memory does not grow with their number."""
    with connect_arrow(url) as connection, connection.cursor() as cursor:
        cursor.execute(quoted(statement, parameters))
        yield cursor.fetch_record_batch()


def _read_pooled(url: str, statement: str, parameters: Sequence[Any]) -> "pa.Table":
    """Read over a connection that an earlier read of this process left open, if there is one."""
    if (os.getpid(), url) not in _IDLE:
        close_idle()
    idle = _IDLE.setdefault((os.getpid(), url), deque())
    with suppress(IndexError):
        connection = idle.pop()
        try:
            table = read_arrow(connection, statement, parameters)
        except connection.OperationalError:
            connection.close()  # the server may have been restarted since: a new connection will tell
        else:
            idle.append(connection)
            return table
    connection = connect_arrow(url)
    try:
        table = read_arrow(connection, statement, parameters)
    except BaseException:
        connection.close()
        raise
    idle.append(connection)
    return table


@atexit.register
def close_idle() -> None:
    """Close the connections that `read_arrow` keeps for the next read."""
    for process, url in [*_IDLE]:
        idle = _IDLE.pop((process, url))
        while idle and process == os.getpid():
            idle.pop().close()


def quoted(statement: str, parameters: Sequence[Any]) -> str:
    """The statement with its `$1`, `$2`, … replaced by the parameters, each quoted as a literal."""
    return _PLACEHOLDER.sub(lambda found: sql.Literal(parameters[int(found[1]) - 1]).as_string(None), statement)


def copy_arrow(
    connection: psycopg.Connection,
    table_name: str,
    rows: "pa.Table | Iterable[pa.Table]",
    columns: Sequence[str] | None = None,
) -> int:
    """Append `columns` (default: all) of `rows` to the database's table by one binary COPY; the number of rows.

    Rows may come as tables one after another (one at least), of the same columns: the server takes in what is there
    while the next is computed.

    Each column is cast to what its database column holds: a value that would change on the way (a fraction into an
    integer, nanoseconds, a naive time into timestamptz) is refused with a ValueError naming the column. Arrow nulls are
    NULL; a NaN stays NaN. Columns not named take their defaults. psycopg.Error of the server is raised unchanged.
    """
    import pyarrow as pa  # 40 MB that only who writes in bulk should pay, and not who serves the pages

    tables = iter([rows] if isinstance(rows, pa.Table) else rows)
    table = next(tables)
    names = list(columns if columns is not None else table.column_names)
    with connection.cursor() as cursor:
        described = _described(cursor, table_name, names)
        fitted = _fitted(table, described, table_name)
        encoder = _encoder(fitted.schema, described)
        # A thread sends while the next rows are encoded: the server and this process work at the same time. For a few
        # rows it would take as long to start one as to send them.
        several = not isinstance(rows, pa.Table) or len(rows) > ROWS_PER_MESSAGE
        writer = (_Sender if several else LibpqWriter)(cursor)
        with cursor.copy(_copying(table_name, *names), writer=writer) as copy:
            copy.write(encoder.write_header())
            for part in chain([fitted], (_fitted(table, described, table_name) for table in tables)):
                for batch in part.to_batches(ROWS_PER_MESSAGE):
                    copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        return cursor.rowcount


class _Sender(QueuedLibpqWriter):
    """The driver's, whose queue takes a thousand messages: all rows, where they come faster than the server reads."""

    def __init__(self, cursor: psycopg.Cursor) -> None:
        super().__init__(cursor)
        self._queue = type(self._queue)(MESSAGES_AHEAD)


@cache
def _copying(table_name: str, *names: str) -> bytes:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
    return statement.format(sql.Identifier(table_name), columns).as_bytes()


@cache
def query(name: str) -> str:
    """The text of `sql/queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")


def run_script(connection: psycopg.Connection, name: str, about: Mapping[str, Any]) -> None:
    """Run the statements of a query of several, one after another, with the same parameters."""
    psycopg.ClientCursor(connection).execute(query(name), about)


def hidden_password(url: str) -> tuple[str, dict[str, str]]:
    """The address as an argument of a program, which everybody on the machine may read; the password as environment."""
    parts: dict[str, Any] = conninfo_to_dict(url)
    password = parts.pop("password", None)
    return make_conninfo(**parts), {"PGPASSWORD": str(password)} if password else {}


def _conninfo(url: str) -> str:
    """The URL as libpq's `key=value` text, with our session's settings; those that the URL has hold, but for UTC."""
    malformed = DatabaseUnreachable(
        "The database's URL is malformed. It reads postgresql://user:password@host:port/database, and the characters "
        "@ : / ? # % in a user or password are written percent-encoded (@ as %40). Check KNOWDEFEAT_DATABASE_URL."
    )
    if not _URL.fullmatch(url):
        raise malformed
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise malformed from None
    options = f"{SERVER_KEEPALIVES} {given.get('options', '')} -c TimeZone=UTC"
    name = f"{PROGRAM} {os.getpid()} on {socket.gethostname()[:LONGEST_HOST]}"
    defaults: dict[str, Any] = {"application_name": name, "connect_timeout": CONNECT_TIMEOUT, **KEEPALIVES}
    return make_conninfo(**(defaults | given | {"options": options}))


def _address(conninfo: str) -> str:
    parts = conninfo_to_dict(conninfo)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _unreachable(conninfo: str, error: Exception) -> DatabaseUnreachable:
    said = str(error).strip()
    advice = remedy(said) or (
        "Check that its server runs and that KNOWDEFEAT_DATABASE_URL names the right address, user, password and "
        "database, or unset it to use the embedded server."
    )
    return DatabaseUnreachable(f"The database at {_address(conninfo)} cannot be opened: {said}\n{advice}")


# What a session has asked of tables: a column's type does not change under a session that writes to it.
_DESCRIBED: "WeakKeyDictionary[psycopg.Connection, dict[tuple[str, ...], list[psycopg.Column]]]" = WeakKeyDictionary()


def _described(cursor: psycopg.Cursor, table_name: str, names: Sequence[str]) -> list[psycopg.Column]:
    """The types of a table's columns, asked for once a session; temporary tables may be others of the same name."""
    known, key = _DESCRIBED.setdefault(cursor.connection, {}), (table_name, *names)
    if key not in known:
        identifiers = sql.SQL(", ").join(map(sql.Identifier, names))
        cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(identifiers, sql.Identifier(table_name)))
        known[key] = cursor.description or []
    return known[key]


@cache
def _arrow_types() -> "dict[int, pa.DataType]":
    """What a database column is fed with, by the number of its type: the Arrow type of the same binary form."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "bool": pa.bool_(),
        "int2": pa.int16(),
        "int4": pa.int32(),
        "int8": pa.int64(),
        "float4": pa.float32(),
        "float8": pa.float64(),
        "text": pa.string(),
        "varchar": pa.string(),
        "jsonb": pa.string(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
    lists = {
        postgres_types[n].array_oid: pa.list_(types[n]) for n in ("int2", "int4", "int8", "float8", "text", "date")
    }
    return {postgres_types[name].oid: kind for name, kind in types.items()} | lists


def _fitted(table: "pa.Table", described: Sequence[psycopg.Column], table_name: str) -> "pa.Table":
    import pyarrow as pa

    return pa.table({column.name: _fit(table[column.name], column, table_name) for column in described})


def _fit(values: "pa.ChunkedArray", column: psycopg.Column, table_name: str) -> "pa.ChunkedArray":
    """The values as the Arrow type of that database column, unchanged in meaning; ValueError if that cannot be."""
    import pyarrow as pa

    wanted = _arrow_types().get(column.type_code)
    if wanted is None:
        raise ValueError(f"{table_name}.{column.name}: bulk writing to type {column.type_display} is not supported")
    if values.type == wanted:
        return values
    if pa.types.is_null(values.type) or len(values) == values.null_count:
        return pa.chunked_array([pa.nulls(len(values), wanted)])
    both_times = pa.types.is_timestamp(values.type) and pa.types.is_timestamp(wanted)
    if both_times and (values.type.tz is None) != (wanted.tz is None):
        raise ValueError(
            f"{table_name}.{column.name} is {column.type_display} and cannot take {values.type}: "
            "give the times a time zone (UTC), or take it off"
        )
    try:
        fitted = values.cast(wanted)
        if pa.types.is_date(wanted) and not fitted.cast(values.type).equals(values):
            raise pa.ArrowInvalid(f"{values.type} with a time of day")  # Arrow itself would drop it without a word
        return fitted
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{table_name}.{column.name} is {column.type_display}: {error}") from error


def _encoder(schema: "pa.Schema", described: Sequence[psycopg.Column]) -> "ArrowToPostgresBinaryEncoder":
    from pgpq import ArrowToPostgresBinaryEncoder, encoders
    from pgpq.schema import Jsonb

    if all(column.type_code != _JSONB for column in described):
        return ArrowToPostgresBinaryEncoder(schema)  # to name what follows from the schema takes thirty times as long
    named = {field.name: ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    of_jsonb = [schema.field(column.name) for column in described if column.type_code == _JSONB]
    named |= {field.name: encoders.StringEncoderBuilder.new_with_output(field, Jsonb()) for field in of_jsonb}
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, named)
