"""What to do about troubles of a server that its users can end: a full disk, no free connection, short timeouts.

They are known by what the server says, as a connection that it refuses carries no code, and by psycopg's names of
errors, which do not depend on the server's language.
"""

from __future__ import annotations

import re

_TIMEOUT = (
    "The database's {name} is too short for this work: lengthen it or set it to 0 (ALTER DATABASE … SET {name} = 0, or "
    "ALTER ROLE …), then run the command again."
)
_REMEDIES = (
    (
        r"does not have CONNECT privilege",
        "The server runs, and lets this user into no session of the database. As its owner, or a superuser: GRANT "
        "CONNECT, TEMPORARY ON DATABASE … TO …, with the names of the database and the user. Or name another user in "
        "KNOWDEFEAT_DATABASE_URL.",
    ),
    (
        r'password authentication failed for user "knowdefeat_(owner|pipeline|web)',
        "Somebody changed the password of a role that our own programs log in as. A new one: knowdefeat db rotate "
        "pipeline (or owner, web). Programs that run go on by it.",
    ),
    (
        r"DiskFull|No space left on device",
        "The disk of the database is full: free space on it or enlarge it, then run the command again.",
    ),
    (
        r"TooManyConnections|too many clients already|remaining connection slots|too many connections for",
        "All connections of the database are taken: end sessions that nobody needs (they are in pg_stat_activity), or "
        "raise max_connections and restart the server, then run the command again.",
    ),
    (r"due to statement timeout", _TIMEOUT.format(name="statement_timeout")),
    (r"LockNotAvailable|due to lock timeout", _TIMEOUT.format(name="lock_timeout")),
    (
        r"IdleInTransactionSessionTimeout|idle-in-transaction timeout",
        _TIMEOUT.format(name="idle_in_transaction_session_timeout"),
    ),
    (r"IdleSessionTimeout|idle-session timeout", _TIMEOUT.format(name="idle_session_timeout")),
)


def remedy(said: str) -> str | None:
    """What to do about what a server or an error said; None where that is not known."""
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, said)), None)


def remedy_of(error: BaseException) -> str | None:
    """What to do about an error of a driver."""
    return remedy(f"{type(error).__name__}: {error}")


def with_remedy(error: Exception) -> str:
    """What an error says, and what to do about it where that is known."""
    said, advice = str(error).strip(), remedy_of(error)
    return f"{said}\n{advice}" if advice and advice not in said else said
