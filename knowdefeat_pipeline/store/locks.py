"""Who computes which days, and who is the live listener: advisory locks, which end with their session.

Whoever holds one renews a lease, so that nobody waits for a process that stands still (see `postgres/leases.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

import psycopg

from knowdefeat_pipeline.postgres import advisory, leases
from knowdefeat_pipeline.postgres.advisory import Holder, Lock, Waiting
from knowdefeat_pipeline.postgres.connection import query

PATIENCE = advisory.PATIENCE  # seconds for which days are waited for before looking whether their holder goes on
_DAY_LOCK = int.from_bytes(b"kday", "big")  # the class of the advisory locks, one per day
_EVERY_DAY = 0  # a number that no date has: whoever computes any day shares it
# One day that is free is taken by the same statement. Several are taken in order, so that nobody waits in a circle; nor
# does who waits for every day hold one.
_TRY_LOCKS = """
    WITH of_all AS MATERIALIZED (SELECT pg_try_advisory_lock_shared(%(lock)s, %(every)s) AS shared)
    SELECT shared,
           CASE WHEN shared AND %(first)s = %(last)s THEN pg_try_advisory_lock(%(lock)s, %(first)s) ELSE false END
    FROM of_all
"""
LISTENER_LOCK = int.from_bytes(b"kliv", "big")


@contextmanager
def days_locked(connection: psycopg.Connection, first: date, last: date) -> Iterator[bool]:
    """Nobody else computes one of the days meanwhile; waits for whoever does, unless its process stands still.

    Yields whether it waited, so that something may have changed. Whoever is waited for is told to the log. Ends with
    the session in any case. Call it outside of a transaction.
    """
    days = {"lock": _DAY_LOCK, "every": _EVERY_DAY, "first": first.toordinal(), "last": last.toordinal()}
    ((shared, free),) = connection.execute(_TRY_LOCKS, days).fetchall()
    if not shared:
        _wait_for_every_day(connection, "SELECT pg_advisory_lock_shared(%s, %s)")
    every = "FROM generate_series(%(first)s::integer, %(last)s::integer) AS day"
    lock = f"SELECT pg_advisory_lock(%(lock)s, day) {every}"
    waiting = Waiting(f"{first} to {last}" if first < last else f"{first}")
    waited = not shared or (first == last and not free)
    try:
        while not free and not advisory.granted(connection, lock, days, PATIENCE):
            waited = True
            if not leases.dismiss(connection):
                waiting.tell(day_holders(connection, first, last))
            lock = query("postgres/lock_missing_days")
        yield waited
    finally:
        if not connection.closed:
            unlock = f"SELECT pg_advisory_unlock(%(lock)s, day) {every}"
            connection.execute(f"{unlock} UNION ALL SELECT pg_advisory_unlock_shared(%(lock)s, %(every)s)", days)


def lock_every_day(connection: psycopg.Connection) -> None:
    """Let nobody compute any day before this transaction ends; waits as `days_locked` does.

    For whoever removes results: he and a refresh would each wait for rows of the other.
    """
    _wait_for_every_day(connection, "SELECT pg_advisory_xact_lock(%s, %s)")


def _wait_for_every_day(connection: psycopg.Connection, lock: str) -> None:
    waiting = Waiting("all days")
    while not advisory.granted(connection, lock, (_DAY_LOCK, _EVERY_DAY), PATIENCE):
        if not leases.dismiss(connection):
            waiting.tell(advisory.holders(connection, Lock(_DAY_LOCK, _EVERY_DAY, _EVERY_DAY)))


def day_holders(connection: psycopg.Connection, first: date, last: date) -> list[Holder]:
    """The other sessions that have one of the days locked."""
    return advisory.holders(connection, Lock(_DAY_LOCK, first.toordinal(), last.toordinal()))


def listener_holders(connection: psycopg.Connection) -> list[Holder]:
    """The other sessions that hold the place of the live listener: one at most."""
    return advisory.holders(connection, Lock(LISTENER_LOCK, 0, 0))


@contextmanager
def listener_lock(connection: psycopg.Connection) -> Iterator[bool]:
    """Whether this session is now the only live listener: as long as it lasts, others leave fresh trades to it.

    One whose lease is over is dismissed.
    """
    leases.dismiss(connection)
    ((alone,),) = connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (LISTENER_LOCK,)).fetchall()
    yield alone
    if alone and not connection.closed:
        connection.execute("SELECT pg_advisory_unlock(%s, 0)", (LISTENER_LOCK,))


def listener_is_there(connection: psycopg.Connection) -> bool:
    """Whether a live listener runs, or one that stopped was not dismissed yet."""
    place = {"lock": LISTENER_LOCK, "number": 0}
    ((found,),) = connection.execute(query("postgres/lock_is_held"), place).fetchall()
    return bool(found)


def listener_expired_at(connection: psycopg.Connection) -> datetime | None:
    """When the lease of a listener ended that has stopped and not been dismissed; None where there is none such."""
    listening = {holder.session for holder in listener_holders(connection)}
    return next((found.at for found in leases.expired(connection) if found.session in listening), None)
