"""What computing needs of a database, looked at before anything begins: temporary tables, and sessions of our own."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import connect


class NeedsUnmet(KnowDefeatError):
    """The database cannot be computed on as it is; the message says why and what to do."""

    page = "guides/database.md"


def require_needs(url: str) -> None:
    """Raise NeedsUnmet where the role may make no temporary table or take no lock, or a pooler shares sessions among
    clients.

    Raises DatabaseUnreachable.
    """
    with connect(url) as connection:
        allowed = """
            SELECT has_database_privilege(current_database(), 'TEMP'),
                   has_function_privilege('pg_advisory_lock(bigint)', 'EXECUTE'), current_user, current_database()
        """
        ((may_make_tables, may_lock, role, database),) = connection.execute(allowed).fetchall()
        if not may_make_tables:
            raise NeedsUnmet(
                f"The role {role} may make no temporary tables in the database {database}, and loading and computing "
                f'need them. As its owner, run: GRANT TEMPORARY ON DATABASE "{database}" TO "{role}"'
            )
        if not may_lock:
            raise NeedsUnmet(
                f"The role {role} may take no advisory locks in the database {database}, and loading and computing "
                "need them. As a superuser, GRANT it EXECUTE on these functions: see docs/security.md, Roles of the "
                "database."
            )
        if _shares_sessions(url, connection):
            raise NeedsUnmet(
                "This address leads to a pooler in transaction mode, which hands a session from client to client: "
                "locks and notifications would be lost. Set KNOWDEFEAT_DATABASE_URL to the server's own address, or to "
                "a pool in session mode."
            )


def _shares_sessions(url: str, connection: psycopg.Connection) -> bool:
    """Whether another client is given the session of one that is still there.

    A server names itself by the number of its process; a pooler, by a number of its own. Where they are the same no
    pooler is there, and nothing more is asked.
    """
    own = _process(connection)
    if own == connection.info.backend_pid:
        return False
    with ExitStack() as stack:
        other = stack.enter_context(connect(url))
        stack.enter_context(other.transaction())
        return _process(other) == own or _process(connection) != own


def _process(connection: psycopg.Connection) -> int:
    ((number,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    return int(number)
