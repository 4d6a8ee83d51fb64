"""Sessions of processes that stand still: a lease that is renewed while a process runs, and what ends without it.

A process that was stopped (SIGSTOP, a debugger, a machine that sleeps) keeps its session, and what it has locked, for
ever. So whoever computes, the live listener and every run, renews a lease, by the database's clock. Whoever waits for a
lock ends the sessions whose lease is over: what those had not committed is gone, and a process that goes on after all
finds its connection closed. A lease that is over ends nothing by itself, so that who goes on in time loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Event, Thread
from typing import NamedTuple

import psycopg

from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, query

LEASE = 20.0  # seconds from a renewal to the end of the lease of a run
LISTENER_LEASE = 7.0  # the same of the live listener: a standby leads within ten seconds
RENEWALS = 5  # within a lease: a few may come late
GOODBYE = 5.0  # seconds that the thread of a session may take to end
_ENDING = 5_000  # milliseconds that a session may take to end


class LeaseLost(psycopg.OperationalError):
    """A session was ended, as nobody had renewed its lease: the message says for how long."""


class Expired(NamedTuple):
    """A session whose lease is over since `at`: of which program, and whether our role may end it."""

    session: int
    program: str
    at: datetime
    may_end: bool


@contextmanager
def leased(url: str, connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """The session has a lease of so many seconds meanwhile, renewed however long it computes. Call it outside of a
    transaction.

    By a thread with a connection of its own: it renews as long as the process runs. Where the session breaks after the
    lease has ended, raises LeaseLost.
    """
    over, renewed = Event(), [time.time()]  # by a clock that goes on while a machine sleeps
    lease = take(connection, seconds)
    thread = Thread(target=_renew, args=(url, lease, seconds, over, renewed), name="lease", daemon=True)
    thread.start()
    try:
        yield
    except psycopg.OperationalError as error:
        if (missing := time.time() - renewed[-1]) > seconds:
            raise LeaseLost(
                f"This process did not renew its lease for {missing:.0f} s, and its session was ended: it was stopped, "
                "its machine slept, or the database was away. What it had not committed is computed anew."
            ) from error
        raise
    finally:
        over.set()
        thread.join(GOODBYE)  # it may wait for a database that is away


def take(connection: psycopg.Connection, seconds: float) -> tuple[int, datetime]:
    """Begin a lease of the session; what names it: the session, and when that began."""
    ((backend, began),) = connection.execute(query("postgres/take_lease"), {"seconds": seconds}).fetchall()
    return backend, began


def _renew(url: str, lease: tuple[int, datetime], seconds: float, over: Event, renewed: list[float]) -> None:
    pause = seconds / RENEWALS
    while not over.wait(pause):  # most runs are over before the first renewal, and need no second connection
        # A connection that breaks is replaced; that the database is away who computes says itself.
        with suppress(psycopg.OperationalError, DatabaseUnreachable), connect(url) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET idle_session_timeout = 0")
            while not over.is_set():
                done = connection.execute(
                    "UPDATE session_leases SET expires_at = clock_timestamp() + %s * interval '1 second'"
                    " WHERE (backend, began) = (%s, %s) AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = backend)",
                    (seconds, *lease),
                )
                if not done.rowcount:  # the session was ended, and who computes will notice
                    return
                renewed[-1] = time.time()
                over.wait(pause)


def expired(connection: psycopg.Connection) -> list[Expired]:
    """The other sessions whose lease is over and that are still there, the oldest first."""
    if connection.execute("SELECT to_regclass('session_leases')").fetchone() == (None,):
        return []
    return [Expired(*row) for row in connection.execute(query("postgres/expired_leases")).fetchall()]


def dismiss(connection: psycopg.Connection) -> bool:
    """End every other session whose lease is over, as far as our role may; whether there was one.

    Nothing waits for them any more, and what they have not committed never will be.
    """
    ended = [
        connection.execute("SELECT pg_terminate_backend(%s, %s)", (found.session, _ENDING)).fetchone()
        for found in expired(connection)
        if found.may_end
    ]
    return (True,) in ended
