"""Connections to PostgreSQL, and bulk reads and writes as Arrow tables."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi as adbc
from pgpq import ArrowToPostgresBinaryEncoder, encoders, schema
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from knowdefeat_pipeline.settings import ROOT, Settings
from knowdefeat_pipeline.store.embedded import EmbeddedPostgres

QUERIES = ROOT / "sql" / "queries"
OLDEST_SERVER = 14  # PostgreSQL's major version
CONNECT_TIMEOUT = 10  # seconds
ROWS_PER_MESSAGE = 65_536

# How a column's PostgreSQL type is fed: the Arrow type whose binary form is that type's.
ARROW_TYPES = {
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

# An unescaped @ or / in a password shifts the parts of a URL, and messages would then show a piece of it.
_URL = re.compile(r"postgresql://([^@/?#]*@)?[^@?#]*(\?[^@#]*)?")


class DatabaseUnreachable(RuntimeError):  # noqa: N818 (named as users speak)
    """No usable connection: the message names the address (never the password) and the remedy."""


def database_url(settings: Settings) -> str:
    """The `postgresql://` URL of the database: the one given, else the embedded server's, which is started if need be.

    Raises EmbeddedPostgresError.
    """
    if settings.database_url is None:
        return EmbeddedPostgres(settings.home).ensure_running()
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", settings.database_url.strip())


def connect(url: str) -> psycopg.Connection:
    """A connection in autocommit mode, its session in UTC: group statements by `with connection.transaction():`.

    Raises DatabaseUnreachable, also for a server older than PostgreSQL 14.
    """
    conninfo = _conninfo(url)
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise _unreachable(conninfo, error) from None
    version = connection.info.server_version // 10_000
    if version < OLDEST_SERVER:
        connection.close()
        raise DatabaseUnreachable(
            f"{_address(conninfo)} runs PostgreSQL {version}; {OLDEST_SERVER} or newer is needed. Upgrade that server, "
            "or unset KNOWDEFEAT_DATABASE_URL to use the embedded one."
        )
    return connection


def connect_arrow(url: str) -> adbc.Connection:
    """A connection for `read_arrow`, in autocommit mode and UTC. Opening one takes some 40 ms: keep it for many reads.

    Raises DatabaseUnreachable.
    """
    conninfo = _conninfo(url)
    try:
        return adbc.connect(conninfo, autocommit=True)
    except adbc.Error as error:
        raise _unreachable(conninfo, error) from None


def read_arrow(source: str | adbc.Connection, statement: str, parameters: Sequence[Any] = ()) -> pa.Table:
    """The rows of a query (`$1`, `$2`, … stand for the parameters; one may be a list: `= ANY($1)`).

    `source` is a URL or a connection of `connect_arrow`. timestamptz arrives as timestamp[us, UTC]. Cast `numeric` to
    `float8` in the statement: Arrow gets its text otherwise. Raises DatabaseUnreachable, and adbc.Error of the server.
    """
    if isinstance(source, str):
        with connect_arrow(source) as connection:
            return read_arrow(connection, statement, parameters)
    with source.cursor() as cursor:
        cursor.execute(statement, list(parameters) or None)
        return cursor.fetch_arrow_table()


def copy_arrow(
    connection: psycopg.Connection, table_name: str, table: pa.Table, columns: Sequence[str] | None = None
) -> int:
    """Append `table`'s `columns` (default: all of them) to the database's table by binary COPY; the number of rows.

    Each column is cast to what its database column holds: a value that would change on the way (a fraction into an
    integer, nanoseconds, a naive time into timestamptz) is refused with a ValueError naming the column. Arrow nulls are
    NULL; a NaN stays NaN. Columns not named take their defaults. psycopg.Error of the server is raised unchanged.
    """
    names = list(columns if columns is not None else table.column_names)
    identifiers = sql.SQL(", ").join(map(sql.Identifier, names))
    target = sql.Identifier(table_name)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM {} LIMIT 0").format(identifiers, target))
        types = {column.name: column.type_display for column in cursor.description or ()}
        fitted = pa.table({name: _fit(table[name], types[name], f"{table_name}.{name}") for name in names})
        encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(
            fitted.schema, {field.name: _encoder(field, types[field.name]) for field in fitted.schema}
        )
        with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, identifiers)) as copy:
            copy.write(encoder.write_header())
            for batch in fitted.to_batches(ROWS_PER_MESSAGE):
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        return cursor.rowcount


@cache
def query(name: str) -> str:
    """The text of `sql/queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
