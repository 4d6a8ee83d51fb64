"""Advisory locks, and who holds one that is waited for: whoever waits for long says so, and goes on waiting, unless the
holder's lease is over (see `leases`)."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

import psycopg

from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.postgres import leases
from knowdefeat_pipeline.postgres.connection import PROGRAM, query

PATIENCE = 5.0  # seconds for which a lock is waited for before looking who holds it
STILL = 120.0  # seconds without a word from a session after which its process may stand still

logger = logging.getLogger("knowdefeat.locks")


class Lock(NamedTuple):
    """One advisory lock, or several whose second numbers follow each other. `kind`: of how many numbers they are."""

    high: int
    first: int
    last: int
    kind: int = 2

    @classmethod
    def of(cls, number: int) -> Lock:
        """The lock of one large number, as PostgreSQL lists it: by its two halves."""
        low = number & 0xFFFFFFFF
        return cls(number >> 32 & 0xFFFFFFFF, low, low, kind=1)


class Holder(NamedTuple):
    """A session that holds a lock. `silent`: seconds without a word from it, None where the server does not tell;
    `computes`: its role is one that works for the pipeline."""

    session: int
    role: str
    program: str
    silent: float | None
    computes: bool

    @property
    def stands_still(self) -> bool:
        """Whether it was not heard of for so long that its process may have been stopped."""
        return self.silent is not None and self.silent > STILL

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look: waiting alone may not end it."""
        return self.stands_still or not self.computes

    def __str__(self) -> str:
        who = f"session {self.session} of the role {printable(self.role)} ({printable(self.program) or 'unnamed'})"
        end = f"SELECT pg_terminate_backend({self.session})"
        if not self.computes:
            return f"{who}, whose role does not work for the pipeline; end it: {end}"
        if not self.stands_still:
            return who
        process = re.fullmatch(rf"{PROGRAM} (\d+) on (\S+)", printable(self.program))
        go_on = f"let it go on: kill -CONT {process[1]} (on {process[2]}), or " if process else ""
        still = f"silent for {self.silent:.0f} s: its process stands still or computes for long"
        return f"{who}, {still}; {go_on}end it: {end}"


def holders(connection: psycopg.Connection, lock: Lock) -> list[Holder]:
    """The other sessions of this database that hold the lock, or one of them."""
    return [Holder(*row) for row in connection.execute(query("postgres/lock_holders"), lock._asdict()).fetchall()]


def troubles(connection: psycopg.Connection) -> list[Holder]:
    """The sessions that hold any lock of this database and that somebody should look at."""
    anything = {"high": None, "first": None, "last": None, "kind": None}
    found = connection.execute(query("postgres/lock_holders"), anything).fetchall()
    return [holder for holder in (Holder(*row) for row in found) if holder.is_trouble]


def told(found: list[Holder]) -> str:
    """Who they are, in a sentence."""
    return "; ".join(map(str, found))


def take(connection: psycopg.Connection, number: int, what: str, for_session: bool = False) -> None:
    """Take the lock of that number until the end of the transaction or, `for_session`, of the session.

    Waits for whoever has it; after PATIENCE the log says who that is. `what` says what is waited for.
    """
    scope = "" if for_session else "xact_"
    free = connection.execute(f"SELECT pg_try_advisory_{scope}lock(%s)", (number,)).fetchone()
    statement, waiting = f"SELECT pg_advisory_{scope}lock(%s)", Waiting(what)
    while free != (True,) and not granted(connection, statement, (number,)):
        if not leases.dismiss(connection):
            waiting.tell(holders(connection, Lock.of(number)))


def granted(connection: psycopg.Connection, statement: str, parameters: Any = (), patience: float = PATIENCE) -> bool:
    """Whether the statement got its locks within so many seconds; of a session's locks, those that it did get stay."""
    try:
        with connection.transaction():
            limit = "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)"
            ((before, _),) = connection.execute(limit, (f"{patience}s",)).fetchall()
            connection.execute(statement, parameters)
            connection.execute("SELECT set_config('lock_timeout', %s, true)", (before,))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


class Waiting:
    """A wait for a lock, which the log hears of as often as others hold it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._told: set[tuple[int, bool]] = set()

    def tell(self, found: list[Holder]) -> None:
        """Log who holds it, where that is news."""
        news = {(holder.session, holder.is_trouble) for holder in found}
        if found and news != self._told:
            logger.warning("Waiting for %s, held by %s.", self._what, told(found))
        self._told = news
