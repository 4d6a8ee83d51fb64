"""What others are told of by webhook: events are kept until they were taken, or given up after days of trying."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from knowdefeat_pipeline.postgres.connection import query

Kind = Literal["run_failed", "bot_halted", "weights_published", "quarantine_held", "asset_stale"]
CHANNEL = "knowdefeat_events"  # on which the database notifies of events that are due
PATIENCE = 3 * 86_400.0  # seconds for which an event is tried
BACK_OFF = (5.0, 4.0, 3_600.0)  # seconds after the first failure, times after each further one, at most


@dataclass(frozen=True)
class Event:
    """Something that happened: `told` in a sentence, `data` for programs. `is_late`: too old to be tried again."""

    event_id: int
    kind: Kind
    told: str
    data: Mapping[str, Any]
    occurred_at: datetime
    attempts: int
    is_late: bool


class NotTaken(Exception):
    """An event could not be handed over; the message says why. It is tried again."""


def add_event(connection: psycopg.Connection, kind: Kind, told: str, data: Mapping[str, Any]) -> None:
    """Note an event, to be told of once the transaction is committed."""
    connection.execute(
        "INSERT INTO webhook_events (kind, told, data) VALUES (%s, %s, %s)", (kind, told, Jsonb(dict(data)))
    )


def was_told_of(connection: psycopg.Connection, kind: Kind, family: str, seconds: float) -> bool:
    """Whether there was such an event of that family of assets in the last so many seconds."""
    found = connection.execute(
        "SELECT FROM webhook_events WHERE kind = %s AND data ->> 'family' = %s "
        "AND occurred_at > clock_timestamp() - %s * interval '1 second' LIMIT 1",
        (kind, family, seconds),
    )
    return found.fetchone() is not None


def pause_after(attempts: int) -> float:
    """Seconds until an event is tried again that failed so often.

    >>> [pause_after(n) for n in (1, 2, 3, 9)]
    [5.0, 20.0, 80.0, 3600.0]
    """
    first, factor, most = BACK_OFF
    return min(first * factor ** (attempts - 1), most)


def send_next(connection: psycopg.Connection, send: Callable[[Event], None]) -> Event | None:
    """Hand the event that is due the longest to `send`, and note what became of it; the event, None where none is due.

    Who is killed meanwhile has noted nothing, so that it is sent again: at least once. `send` raises NotTaken.
    """
    with connection.transaction():
        with connection.cursor(row_factory=class_row(Event)) as cursor:
            event = cursor.execute(query("web/next_event"), {"patience": PATIENCE}).fetchone()
        if event is None:
            return None
        if event.is_late:
            _give_up(connection, event)
            return event
        try:
            send(event)
        except NotTaken as error:
            _try_again(connection, event, str(error))
        else:
            connection.execute(
                "UPDATE webhook_events SET attempts = attempts + 1, due_at = NULL, delivered_at = clock_timestamp(), "
                "last_error = NULL WHERE event_id = %s",
                (event.event_id,),
            )
    return event


def _give_up(connection: psycopg.Connection, event: Event) -> None:
    connection.execute("UPDATE webhook_events SET due_at = NULL WHERE event_id = %s", (event.event_id,))


def _try_again(connection: psycopg.Connection, event: Event, why: str) -> None:
    connection.execute(
        "UPDATE webhook_events SET attempts = attempts + 1, last_error = %s, "
        "due_at = clock_timestamp() + %s * interval '1 second' WHERE event_id = %s",
        (why, pause_after(event.attempts + 1), event.event_id),
    )


def seconds_until_due(connection: psycopg.Connection) -> float | None:
    """In how many seconds the next event is due; None where none waits."""
    statement = "SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM webhook_events"
    ((seconds,),) = connection.execute(f"{statement} WHERE due_at IS NOT NULL").fetchall()
    return None if seconds is None else max(0.0, float(seconds))


def forget_events(connection: psycopg.Connection, before: datetime) -> int:
    """Delete events from before, taken or not: where nobody was told for so long, nobody is to be told; how many."""
    return connection.execute("DELETE FROM webhook_events WHERE occurred_at < %s", (before,)).rowcount


def last_events(connection: psycopg.Connection, limit: int) -> list[dict[str, Any]]:
    """The last events, the latest first; `state`: taken, waits or given up."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query("web/last_events"), {"limit": limit}).fetchall()


def undelivered(connection: psycopg.Connection) -> tuple[int, int, datetime | None, str | None]:
    """Of the events that were refused and not taken since: how many are tried again, how many were given up, since
    when, and why the last one was refused."""
    ((waits, given_up, since, error),) = connection.execute(
        "SELECT count(due_at), count(*) - count(due_at), min(occurred_at), "
        "(array_agg(last_error ORDER BY event_id DESC))[1] "
        "FROM webhook_events WHERE delivered_at IS NULL AND attempts > 0"
    ).fetchall()
    return waits, given_up, since, error


def retry_given_up(connection: psycopg.Connection) -> int:
    """Let events that were given up be sent once more, for as long as any event is; how many."""
    return connection.execute(
        "UPDATE webhook_events SET due_at = clock_timestamp(), occurred_at = clock_timestamp() "
        "WHERE due_at IS NULL AND delivered_at IS NULL AND attempts > 0"
    ).rowcount
