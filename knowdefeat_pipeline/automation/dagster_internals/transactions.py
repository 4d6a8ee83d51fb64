"""What a storage of Dagster's writes together, in one transaction that is tried again where its connection breaks.

Dagster writes a batch of events by many statements, each by itself. Where one fails it stores the events of the batch
one by one again, over those that are there, and prints the statements with all that they were to write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import local
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

PAUSES = (0.2, 1.0, 3.0)  # seconds before it is tried again
DEADLOCK = "40P01"  # of the SQL standard's codes
T = TypeVar("T")


class OneTransaction:
    """The connection of a storage: a new one for each use, or the same for all within `run`, by thread."""

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect
        self._local = local()

    def connection(self) -> AbstractContextManager[Connection]:
        """The one whose transaction is under way in this thread, or a new one."""
        shared: Connection | None = getattr(self._local, "connection", None)
        return self._connect() if shared is None else nullcontext(shared)

    def run(self, work: Callable[[], T]) -> T:
        """What `work` does over `connection`, all of it or nothing, and once.

        Where the connection breaks at the commit, the server is asked what became of it; before that, nothing did. (A
        server that crashed gives the number of a transaction that it lost to another one.)

        Raises sqlalchemy's OperationalError and InterfaceError, without the statement and what it was to write.
        """
        if getattr(self._local, "connection", None) is not None:
            return work()
        for pause in (*PAUSES, None):
            number, finished = "", False
            try:
                with self._connect() as plain:
                    connection = _transactional(plain)
                    with connection.begin():
                        number = str(connection.scalar(text("SELECT pg_current_xact_id()::text")))
                        done = self._within(connection, work)
                        finished = True
                return done
            except (OperationalError, InterfaceError) as error:
                if pause is not None and (error.connection_invalidated or _is_deadlock(error)):
                    time.sleep(pause)
                    if finished and self._was_committed(number):
                        return done
                    continue
                raise _brief(error) from None
        raise AssertionError("the last attempt returns or raises")

    def _within(self, connection: Connection, work: Callable[[], T]) -> T:
        self._local.connection = connection
        try:
            return work()
        finally:
            self._local.connection = None

    def _was_committed(self, number: str) -> bool:
        with self._connect() as connection:
            status = connection.scalar(text("SELECT pg_xact_status(CAST(:number AS xid8))"), {"number": number})
        return bool(status == "committed")


def _transactional(connection: Connection) -> Connection:
    """The connection of a pool, which commits each statement by itself, made one that has transactions.

    Where it broke while nobody used it the driver says so in its own terms: as others, it is thrown away, since a pool
    that resets it logs the failure of that, and another one is tried.
    """
    try:
        return connection.execution_options(isolation_level="READ COMMITTED")
    except connection.dialect.loaded_dbapi.Error as error:
        connection.invalidate(error)
        raise OperationalError(None, None, error, connection_invalidated=True) from error


def _is_deadlock(error: DBAPIError) -> bool:
    return getattr(error.orig, "pgcode", None) == DEADLOCK


def _brief(error: DBAPIError) -> DBAPIError:
    return type(error)(None, None, error.orig or error, connection_invalidated=error.connection_invalidated)
