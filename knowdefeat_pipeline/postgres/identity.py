"""Whose transaction ids the database holds: those of the server that it is on, or of one that it was copied from.

Trades, marks and snapshots name transactions by the numbers that their server gave out. On another server the same
numbers mean other transactions: what arrives there would count as seen long ago, and never be looked at. So the
database notes the server (`cluster_identity`), whoever begins to work compares, and a copy's numbers are replaced
before it is used.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.catalogue import without_triggers
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable, connect, query

TABLE = "cluster_identity"

# Where a change counts as followed once these families have followed it; in a table that is not named, once all have.
_FOLLOWED_BY = {
    "trades": ("ranking", "market"),
    "trade_scores": ("ranking",),
    "positions": ("ranking",),
    "position_marks": ("ranking",),
    "price_bars": ("market", "ranking"),
    "order_book_levels": ("market",),
    "weight_versions": ("ranking",),
    "fund_settings": ("ranking",),
    "bot_events": ("ranking",),
}
# What is only kept to save time, and is made again.
_MADE_AGAIN = ("belief_checkpoints", "belief_checkpoints_state", "bot_months", "bot_months_state")
_SPECIAL = ("refreshed_days", "settled_changes", "input_changes", *_MADE_AGAIN)

# A number larger than that of every transaction of this server whose rows the statement sees, its own included.
_TOP = (
    "(SELECT greatest(pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
    " pg_current_xact_id_if_assigned()::text::bigint + 1))"
)
# The transaction that wrote a row as this server numbers it, or a later one: a row knows the lower half of its number.
_WRITTEN_BY = f"({_TOP} - mod({_TOP} - xmin::text::bigint + 4294967296, 4294967296))"
# No transaction writes a later one's number: such a row was copied, and its number is another server's.
_IS_COPIED = f"{_WRITTEN_BY} < recorded_xid::text::bigint"
_RENUMBERED = sql.SQL(
    "CASE WHEN (SELECT bool_and(pg_visible_in_snapshot(recorded_xid, s.seen)) FROM settled_changes AS s"
    " WHERE {families}::text[] IS NULL OR s.family = ANY({families}::text[])) AND {is_copied}"
    " THEN '1'::xid8 ELSE pg_current_xact_id() END"
)


class ForeignTransactions(KnowDefeatError):
    """The database is another server's copy, whose transaction ids mean nothing here; the message says what to do."""

    page = "operations.md#copies-made-by-other-means"


class Server(NamedTuple):
    """What tells servers apart (None: it does not tell), and the databases of one."""

    system_identifier: int | None
    timeline: int | None
    database_oid: int


class Origin(Enum):
    """Where the transaction ids that a database holds come from."""

    HERE = "this server"
    MOVED = "this server, under another name"  # files were copied, a standby was promoted: the ids still hold
    UNKNOWN = "not known"  # a copy by dump and restore on the same server, or nobody has noted it yet
    ELSEWHERE = "another server"


class Identity(NamedTuple):
    """The server noted in the database (None: not yet), the present one, and whether it may be noted by us."""

    noted: Server | None
    present: Server
    origin: Origin
    may_write: bool


def identify(connection: psycopg.Connection) -> Identity | None:
    """Compare the server with the one that is noted: reads of one row. None before the schema has a place for it."""
    if connection.execute("SELECT to_regclass(%s)", (TABLE,)).fetchone() == (None,):
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(query("postgres/identity")).fetchall()
    present = Server(*_control_data(connection, row["tells"]), row["current_oid"])
    noted = Server(row["system_identifier"], row["timeline"], row["database_oid"]) if row["is_known"] else None
    return Identity(noted, present, _origin(noted, present, row["was_written_here"]), row["may_write"])


def present_server(connection: psycopg.Connection) -> Server:
    """The server that we are connected to."""
    found = identify(connection)
    if found is None:
        raise ForeignTransactions("The database has no table cluster_identity. Run: knowdefeat db migrate")
    return found.present


def same_numbers(one: Server, other: Server) -> bool:
    """Whether both servers are known to give out the same numbers."""
    return one.system_identifier is not None and one[:2] == other[:2]


def require_own(url: str) -> None:
    """Raise ForeignTransactions if the database was copied from another server and its numbers were not replaced.

    What is the same server under another name is noted down, where we may write. Raises DatabaseUnreachable.
    """
    with connect(url) as connection:
        found = identify(connection)
        if found is None or found.origin is Origin.HERE:
            return
        if is_foreign(connection, found):
            raise ForeignTransactions(
                "The database was copied from another PostgreSQL server, whose transaction ids mean nothing on this "
                "one: new trades could be missed. Let this server number them: knowdefeat db adopt"
            )
        if found.may_write:
            record(connection, found.present)


def is_foreign(connection: psycopg.Connection, found: Identity) -> bool:
    """Whether numbers have to be replaced. Where the origin is not known, rows that name later transactions than those
    that wrote them give a copy away."""
    if found.origin is Origin.UNKNOWN:
        return names_the_future(connection)
    return found.origin is Origin.ELSEWHERE


def adopt(connection: psycopg.Connection, all_copied: bool = False, force: bool = False) -> bool:
    """Make the database this server's own, in the transaction that is under way; whether numbers had to be replaced.

    `all_copied`: as for `renumber`. `force`: they are replaced even if nothing shows that they have to be. Raises
    ForeignTransactions if they have to, and we may not.
    """
    found = identify(connection)
    if found is None or (found.origin is Origin.HERE and not force):
        return False
    foreign = force or is_foreign(connection, found)
    if foreign:
        try:
            renumber(connection, all_copied)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ForeignTransactions(
                "The database was copied from another PostgreSQL server, and this user may not replace the transaction "
                f"ids in it: {error}\nRun as the owner of its tables: knowdefeat db adopt"
            ) from error
        except psycopg.errors.LockNotAvailable as error:
            raise ForeignTransactions(
                "The database was copied from another PostgreSQL server, and its transaction ids cannot be replaced "
                f"while others use the tables: {error}\nEnd those sessions, then run: knowdefeat db adopt"
            ) from error
    if foreign or found.may_write:
        record(connection, found.present)
    return foreign


def record(connection: psycopg.Connection, server: Server) -> None:
    """Note that the database's transaction ids are this server's."""
    connection.execute(query("postgres/record_identity"), server._asdict())


def names_the_future(connection: psycopg.Connection) -> bool:
    """Whether the database names transactions that have not happened here, or had not when a row was written."""
    for table, column, is_snapshot in connection.execute(query("postgres/numbered_columns")).fetchall():
        # A snapshot may be younger than the transaction that notes it.
        number = "pg_snapshot_xmax({})::text::bigint" if is_snapshot else "{}::text::bigint"
        statement = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > {})").format(
            sql.Identifier(table),
            sql.SQL(number).format(sql.Identifier(column)),
            sql.SQL(_TOP if is_snapshot else _WRITTEN_BY),
        )
        if connection.execute(statement).fetchone() == (True,):
            return True
    return False


def renumber(connection: psycopg.Connection, all_copied: bool = False) -> None:
    """Replace the transaction ids of another server, in the transaction that is under way.

    What every computed day had followed becomes older than every snapshot; all else is a change of now. `all_copied`:
    no row was written on this server. Otherwise a row whose number may be this server's counts as a change of now.
    """
    columns = connection.execute(query("postgres/numbered_columns")).fetchall()
    # Trades first: whoever writes one holds that table when he comes to the others.
    for table, column, is_snapshot in sorted(columns, key=lambda row: row[0] != "trades"):
        if table in _SPECIAL:
            continue
        value: sql.Composable
        if is_snapshot:  # of an unknown meaning: nothing was seen
            value = sql.SQL("'1:1:'")
        elif column != "recorded_xid":  # of an unknown meaning: nothing was followed
            value = sql.SQL("'1'")
        else:
            value = _RENUMBERED.format(
                families=sql.Literal([*_FOLLOWED_BY[table]] if table in _FOLLOWED_BY else None),
                is_copied=sql.SQL("true" if all_copied else _IS_COPIED),
            )
        with without_triggers(connection, [table]):
            update = sql.SQL("UPDATE {} SET {} = {}")
            connection.execute(update.format(sql.Identifier(table), sql.Identifier(column), value))
    connection.execute(query("postgres/renumber_marks"))


def _origin(noted: Server | None, present: Server, was_written_here: bool) -> Origin:
    if noted is None:
        return Origin.UNKNOWN
    if was_written_here and (noted.system_identifier is None or present.system_identifier is None):
        return Origin.HERE if noted == present else Origin.MOVED
    if noted.system_identifier is None or noted.system_identifier != present.system_identifier:
        return Origin.ELSEWHERE
    if was_written_here:
        return Origin.HERE if noted == present else Origin.MOVED
    return Origin.UNKNOWN if noted.timeline == present.timeline else Origin.ELSEWHERE


def _control_data(connection: psycopg.Connection, tells: bool) -> tuple[int | None, int | None]:
    if not tells:
        return None, None
    try:
        ((system_identifier, timeline),) = connection.execute(
            "SELECT s.system_identifier, c.timeline_id FROM pg_control_system() AS s, pg_control_checkpoint() AS c"
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnreachable(
            f"The database's server runs, and cannot read its own files: {error}. Let the account that it runs as pass "
            "through each folder above them: chmod o+x"
        ) from error
    return system_identifier, timeline
