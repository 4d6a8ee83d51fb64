"""Who computes which days, and who is the live listener: advisory locks, which end with their session.

A process that was stopped (SIGSTOP, a machine that sleeps) keeps its session, and what it has locked, for ever. So the
listener renews a lease, by the database's clock. Whoever needs what a listener without one holds ends its session: what
that had not committed is gone, and the process, should it go on, finds its connection closed and begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from threading import Event, Thread

import psycopg

from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.advisory import Holder, Lock, Waiting
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, query

LEASE = 20.0  # seconds from a renewal to the end of the lease
RENEWAL = 4.0  # seconds between two renewals: a few may come late
PATIENCE = advisory.PATIENCE  # seconds for which days are waited for before looking whether their holder goes on
_ENDING = 5_000  # milliseconds that a session may take to end
_DAY_LOCK = int.from_bytes(b"kday", "big")  # the class of the advisory locks, one per day
_LISTENER_LOCK = int.from_bytes(b"kliv", "big")


class LeaseLost(psycopg.OperationalError):
    """The listener's session was ended, as nobody had renewed its lease: the message says for how long."""


@contextmanager
def days_locked(connection: psycopg.Connection, first: date, last: date) -> Iterator[None]:
    """Nobody else computes one of the days meanwhile; waits for whoever does, unless that is a listener that stopped.

    Whoever is waited for is told to the log. Ends with the session in any case. Call it outside of a transaction.
    """
    days = {"lock": _DAY_LOCK, "first": first.toordinal(), "last": last.toordinal()}
    every = "FROM generate_series(%(first)s::integer, %(last)s::integer) AS day"
    lock = f"SELECT pg_advisory_lock(%(lock)s, day) {every}"
    waiting = Waiting(f"{first} to {last}" if first < last else f"{first}")
    # One that is free is taken by one statement. Several are taken in order, so that nobody waits in a circle.
    free = first == last and connection.execute("SELECT pg_try_advisory_lock(%(lock)s, %(first)s)", days).fetchone()
    while free != (True,) and not advisory.granted(connection, lock, days, PATIENCE):
        if not dismiss_listener(connection):
            waiting.tell(day_holders(connection, first, last))
        lock = query("postgres/lock_missing_days")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(f"SELECT pg_advisory_unlock(%(lock)s, day) {every}", days)


def day_holders(connection: psycopg.Connection, first: date, last: date) -> list[Holder]:
    """The other sessions that have one of the days locked."""
    return advisory.holders(connection, Lock(_DAY_LOCK, first.toordinal(), last.toordinal()))


def listener_holders(connection: psycopg.Connection) -> list[Holder]:
    """The other sessions that hold the place of the live listener: one at most."""
    return advisory.holders(connection, Lock(_LISTENER_LOCK, 0, 0))


def day_is_locked(connection: psycopg.Connection, day: date) -> bool:
    """Whether somebody computes the day at this moment."""
    return _is_locked(connection, _DAY_LOCK, day.toordinal())


@contextmanager
def listener_lock(connection: psycopg.Connection) -> Iterator[bool]:
    """Whether this session is now the only live listener: as long as it lasts, others leave fresh trades to it.

    It begins with a lease; see `lease_renewed`.
    """
    dismiss_listener(connection)
    ((alone,),) = connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (_LISTENER_LOCK,)).fetchall()
    if alone:
        connection.execute(
            "INSERT INTO listener_lease (backend, expires_at)"
            " VALUES (pg_backend_pid(), clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (only_row) DO UPDATE SET backend = excluded.backend, expires_at = excluded.expires_at",
            (LEASE,),
        )
    yield alone
    if alone and not connection.closed:
        connection.execute("SELECT pg_advisory_unlock(%s, 0)", (_LISTENER_LOCK,))


@contextmanager
def lease_renewed(url: str, connection: psycopg.Connection) -> Iterator[None]:
    """The lease of the listener of this session is renewed meanwhile, however long a batch takes.

    By a thread with a connection of its own: it renews as long as the process runs. Where the session breaks after the
    lease has ended, raises LeaseLost.
    """
    over, renewed = Event(), [time.time()]  # by a clock that goes on while a machine sleeps
    ((backend,),) = connection.execute("SELECT pg_backend_pid()").fetchall()  # the driver knows a pooler's, if any
    thread = Thread(target=_renew, args=(url, backend, over, renewed), name="lease", daemon=True)
    thread.start()
    try:
        yield
    except psycopg.OperationalError as error:
        if (missing := time.time() - renewed[-1]) > LEASE:
            raise LeaseLost(
                f"This listener did not renew its lease for {missing:.0f} s, and its session was ended: its process "
                "was stopped, its machine slept, or the database was away. What it had not committed is computed anew."
            ) from error
        raise
    finally:
        over.set()
        thread.join(PATIENCE)  # it may wait for a database that is away


def _renew(url: str, backend: int, over: Event, renewed: list[float]) -> None:
    while not over.is_set():
        # A connection that breaks is replaced; that the database is away the listener says itself.
        with suppress(psycopg.OperationalError, DatabaseUnreachable), connect(url) as connection:
            connection.execute("SET synchronous_commit = off")
            while not over.is_set():
                done = connection.execute(
                    "UPDATE listener_lease SET expires_at = clock_timestamp() + %s * interval '1 second'"
                    " WHERE backend = %s AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = backend)",
                    (LEASE, backend),
                )
                if not done.rowcount:  # the session was ended, and the listener will notice
                    return
                renewed[-1] = time.time()
                over.wait(RENEWAL)
        over.wait(RENEWAL)


def listener_is_there(connection: psycopg.Connection) -> bool:
    """Whether a live listener runs, or one that stopped was not dismissed yet."""
    return _is_locked(connection, _LISTENER_LOCK, 0)


def lease_expired_at(connection: psycopg.Connection) -> datetime | None:
    """When the lease of a listener ended that has stopped and not been dismissed; None where there is none such."""
    row = _expired_lease(connection)
    return row[1] if row else None


def dismiss_listener(connection: psycopg.Connection) -> bool:
    """End the session of a listener that has not renewed its lease; whether there was one.

    Nothing waits for it any more, and what it has not committed never will be.
    """
    row = _expired_lease(connection)
    if row is None:
        return False
    ((ended,),) = connection.execute("SELECT pg_terminate_backend(%s, %s)", (row[0], _ENDING)).fetchall()
    return bool(ended)


def _expired_lease(connection: psycopg.Connection) -> tuple[int, datetime] | None:
    return connection.execute(query("postgres/expired_lease"), {"lock": _LISTENER_LOCK}).fetchone()


def _is_locked(connection: psycopg.Connection, lock: int, number: int) -> bool:
    ((found,),) = connection.execute(query("postgres/lock_is_held"), {"lock": lock, "number": number}).fetchall()
    return bool(found)
