"""Which days lack what arrived since they were computed (trades, scores, market data), and what their results rest on.

What is pending is read from the database and never remembered by a process: whoever asks next finds it again until the
results that contain it are committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg
from psycopg.rows import dict_row

from knowdefeat_pipeline.postgres.connection import connect, query
from knowdefeat_pipeline.store.market import has_market_data

CHANNEL = "knowdefeat_trades"  # on which the database notifies of new trades
LAST_ASSET = "variable_weights"  # a day is refreshed once the end of the chain is
FIRST_ASSET = "bot_metrics"  # its mark says at which instant the figures of a day are true
LAST_LEARNED = "strategy_weights"  # a day is learned once this asset is
MARKET_ASSETS = ("market_regimes", "trade_scores")
HORIZON_DAYS = 90  # days that were never computed are pending by themselves if they are no older than this
Mark = tuple[date, datetime, str]  # a day, its as_of, and the snapshot of the trades that were read
_DAY_LOCK = int.from_bytes(b"kday", "big")  # the class of the advisory locks, one per day
_LISTENER_LOCK = int.from_bytes(b"kliv", "big")


@dataclass(frozen=True)
class Pending:
    """The days first..last have to be refreshed for `trades` new trades (0: scores are new, or a day ended), and that
    since `since`.

    `newest` is the last transaction among them, None where a day ended: the same days with the same `newest` are the
    same batch.
    """

    first: date
    last: date
    trades: int
    since: datetime
    newest: int | None

    @property
    def batch(self) -> str:
        """A name that is the same while the work is the same."""
        return f"{self.first}/{self.last}/{self.newest or 'end of day'}"


@dataclass(frozen=True)
class Settled:
    """Nothing is pending: every computed day (`days` of them) has seen every trade."""

    days: int


def pending_days(connection: psycopg.Connection, now: datetime) -> Pending | Settled:
    """What has to be refreshed at `now`; one indexed query.

    Where all trades have reached their days this is noted down, so that the next query need not look at them.
    """
    horizon = now.date() - timedelta(days=HORIZON_DAYS)
    parameters = {"asset": LAST_ASSET, "now": now, "today": now.date(), "horizon": horizon}
    with connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(query("staleness/pending_days"), parameters).fetchall()
    if row["settled"]:
        connection.execute(
            "INSERT INTO settled_trades (seen) VALUES (%s::pg_snapshot) "
            "ON CONFLICT (only_row) DO UPDATE SET seen = excluded.seen",
            (row["settled"],),
        )
    if row["first_day"] is None:
        return Settled(row["computed_days"])
    last = max(row["first_day"], row["last_day"])
    return Pending(row["first_day"], last, row["trades"], row["since"], row["newest"])


def pending_beliefs(connection: psycopg.Connection) -> Pending | Settled:
    """The days to learn anew: refreshed, or touched by the ledger or the market's regimes, since they were.

    Once every change has reached its days it is struck off, so that the next query need not look at it.
    """
    parameters = {"refreshed": FIRST_ASSET, "learned": LAST_LEARNED}
    with connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(query("staleness/pending_beliefs"), parameters).fetchall()
    if row["first_day"] is None:
        connection.execute(
            "DELETE FROM belief_changes WHERE pg_visible_in_snapshot(recorded_xid, %s::pg_snapshot)", (row["snapshot"],)
        )
        return Settled(row["refreshed_days"])
    return Pending(row["first_day"], row["last_day"], 0, row["since"], row["newest"])


@dataclass(frozen=True)
class PendingMarket:
    """The days first..last lack market data; `newest` is the last transaction among those that wrote some."""

    first: date
    last: date
    newest: int

    @property
    def batch(self) -> str:
        """A name that is the same while the work is the same."""
        return f"market/{self.first}/{self.last}/{self.newest}"


def pending_market(connection: psycopg.Connection, first: date, today: date) -> PendingMarket | None:
    """The days within first..today whose regimes or scores lack bars, order books or closed trades; None if none do.

    Bars and order books touch their day and all later ones; a trade in a ticker of theirs the day on which it closed.
    Rows that are deleted touch none.
    """
    if not has_market_data(connection):
        return None
    parameters = {"assets": [*MARKET_ASSETS], "first": first, "today": today}
    (row,) = connection.execute(query("staleness/pending_market"), parameters).fetchall()
    begin, end, newest, any_future, snapshot = row
    if begin is None and newest is not None and not any_future:
        connection.execute(
            "INSERT INTO settled_market (seen) VALUES (%s::pg_snapshot) "
            "ON CONFLICT (only_row) DO UPDATE SET seen = excluded.seen",
            (snapshot,),
        )
    return None if begin is None else PendingMarket(begin, end, newest)


def current_snapshot(connection: psycopg.Connection) -> str:
    """The transactions whose trades a read that begins now will see, at least."""
    ((snapshot,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
    return snapshot


def marks(connection: psycopg.Connection, asset: str, first: date, last: date) -> list[Mark]:
    """Day, as_of and `seen` of the asset's days first..last: read them before what they describe."""
    return connection.execute(
        "SELECT day, as_of, seen::text FROM refreshed_days WHERE asset = %s AND day BETWEEN %s AND %s ORDER BY day",
        (asset, first, last),
    ).fetchall()


def mark(connection: psycopg.Connection, asset: str, days: Sequence[Mark]) -> None:
    """Note what the asset's days rest on, in the transaction that writes their rows: snapshots, or upstream marks."""
    day, as_of, seen = ([row[at] for row in days] for at in range(3))
    connection.execute(
        "INSERT INTO refreshed_days (asset, day, as_of, seen) "
        "SELECT %s, day, as_of, seen::pg_snapshot "
        "FROM unnest(%s::date[], %s::timestamptz[], %s::text[]) AS d (day, as_of, seen) "
        "ON CONFLICT (asset, day) DO UPDATE SET (as_of, seen, refreshed_at) = "
        "(excluded.as_of, excluded.seen, clock_timestamp())",
        (asset, day, as_of, seen),
    )


def lock_days(connection: psycopg.Connection, first: date, last: date) -> None:
    """Let nobody else refresh one of the days for as long as this session lasts; waits for whoever does."""
    connection.execute(
        "SELECT pg_advisory_lock(%s, day) FROM generate_series(%s::integer, %s::integer) AS day",
        (_DAY_LOCK, first.toordinal(), last.toordinal()),
    )


@contextmanager
def days_locked(url: str, first: date, last: date) -> Iterator[None]:
    """Nobody else refreshes one of the days meanwhile; waits for whoever does. Ends with the process in any case."""
    with connect(url) as connection:
        lock_days(connection, first, last)
        yield


def day_is_locked(connection: psycopg.Connection, day: date) -> bool:
    """Whether somebody refreshes the day at this moment."""
    return _is_locked(connection, _DAY_LOCK, day.toordinal())


@contextmanager
def listener_lock(connection: psycopg.Connection) -> Iterator[bool]:
    """Whether this session is now the only live listener: as long as it lasts, others leave fresh trades to it."""
    ((alone,),) = connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (_LISTENER_LOCK,)).fetchall()
    yield alone
    if alone and not connection.closed:
        connection.execute("SELECT pg_advisory_unlock(%s, 0)", (_LISTENER_LOCK,))


def listener_is_there(connection: psycopg.Connection) -> bool:
    """Whether a live listener runs."""
    return _is_locked(connection, _LISTENER_LOCK, 0)


def _is_locked(connection: psycopg.Connection, lock: int, number: int) -> bool:
    ((found,),) = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND (classid, objid) = (%s::oid, %s::oid) "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        (lock, number),
    ).fetchall()
    return found
