"""What the database says of its own tables: columns, the order in which rows can be put in, sequences, triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import psycopg
from psycopg import sql

from knowdefeat_pipeline.postgres.connection import query

DAGSTER = "dagster"  # the schema of Dagster's tables; ours are in the first schema of the search path

_ENABLE = {
    "O": sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}"),
    "R": sql.SQL("ALTER TABLE {} ENABLE REPLICA TRIGGER {}"),
    "A": sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}"),
}


class Table(NamedTuple):
    """A table and its columns; generated columns are not among them."""

    name: str
    columns: tuple[str, ...]


def identifier(schema: str | None, name: str) -> sql.Identifier:
    """A table's or sequence's name; `schema` None: ours."""
    return sql.Identifier(name) if schema is None else sql.Identifier(schema, name)


def tables(connection: psycopg.Connection, schema: str | None = None) -> list[Table]:
    """The tables of a schema (None: ours), each after those that its rows refer to."""
    rows = connection.execute(query("postgres/tables"), {"schema": schema}).fetchall()
    found = {name: Table(name, tuple(columns)) for name, columns, _ in rows}
    try:
        order = list(TopologicalSorter({name: refers_to for name, _, refers_to in rows}).static_order())
    except CycleError:  # the database then says which rows it refuses
        order = list(found)
    return [found[name] for name in order]


def sequences(connection: psycopg.Connection, schema: str | None = None) -> list[tuple[str, int, bool]]:
    """The sequences of a schema: name, last value, and whether that value has been given out."""
    names = connection.execute(query("postgres/sequences"), {"schema": schema}).fetchall()
    read = sql.SQL("SELECT last_value, is_called FROM {}")
    return [(name, *_only(connection.execute(read.format(identifier(schema, name))))) for (name,) in names]


def set_sequence(connection: psycopg.Connection, schema: str | None, name: str, last: int, is_called: bool) -> None:
    """Let the sequence go on after that value."""
    place = identifier(schema, name).as_string(None)
    connection.execute("SELECT setval(%s::text::regclass, %s, %s)", (place, last, is_called))


@contextmanager
def without_triggers(connection: psycopg.Connection, names: Sequence[str]) -> Iterator[None]:
    """Rows of our tables are written as they are meanwhile; afterwards every trigger fires as it did.

    Belongs into a transaction, which keeps others from writing to the tables.
    """
    put_back = []
    for name in names:
        table = sql.Identifier(name)
        for trigger, enabled in connection.execute(query("postgres/triggers"), {"table": table.as_string(None)}):
            disable = sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(table, sql.Identifier(trigger))
            put_back.append((disable, _ENABLE[enabled].format(table, sql.Identifier(trigger))))
    for disable, _ in put_back:
        connection.execute(disable)
    yield
    for _, enable in put_back:
        connection.execute(enable)


def _only(cursor: psycopg.Cursor) -> tuple[int, bool]:
    ((last, is_called),) = cursor.fetchall()
    return last, is_called
