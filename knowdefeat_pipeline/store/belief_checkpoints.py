"""Where belief learning goes on from: what earlier outcomes left behind, day by day, for as long as it still holds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from knowdefeat_pipeline.core.beliefs.daily import Memory
from knowdefeat_pipeline.core.beliefs.r_multiples import Volatility
from knowdefeat_pipeline.core.beliefs.state import State
from knowdefeat_pipeline.postgres import advisory
from knowdefeat_pipeline.postgres.connection import query

RECENT_DAYS = 7  # checkpoints of the last days are kept, before that one a month
_LOCK = int.from_bytes(b"kdbelief", "big")  # the advisory lock of whoever learns


def learn_alone(connection: psycopg.Connection) -> None:
    """Let nobody else learn or weigh for as long as this session lasts."""
    advisory.take(connection, _LOCK, "the learning of beliefs", for_session=True)


def begin_learning(connection: psycopg.Connection, rules: str) -> str:
    """Let nobody else learn for as long as this session lasts, and drop the checkpoints that no longer hold.

    The snapshot of what is learned from here on, at least. Checkpoints of other `rules` are dropped too.
    """
    learn_alone(connection)
    with connection.transaction():
        ((seen,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
        row = connection.execute("SELECT seen::text FROM belief_checkpoints_state").fetchone()
        since = None
        if row:
            ((since,),) = connection.execute(query("beliefs/beliefs_changed_since"), {"seen": row[0]}).fetchall()
        connection.execute(
            "DELETE FROM belief_checkpoints WHERE as_of >= %s::timestamptz OR rules <> %s", (since, rules)
        )
        connection.execute(
            "INSERT INTO belief_checkpoints_state (seen) VALUES (%s::pg_snapshot) "
            "ON CONFLICT (only_row) DO UPDATE SET seen = excluded.seen",
            (seen,),
        )
    return str(seen)


def checkpoint_before(connection: psycopg.Connection, day: date) -> tuple[datetime, Memory] | None:
    """The as_of and the memory of the last checkpoint of an earlier day."""
    row = connection.execute(
        "SELECT as_of, memory FROM belief_checkpoints WHERE day < %s ORDER BY day DESC LIMIT 1", (day,)
    ).fetchone()
    return (row[0], unpack(row[1])) if row else None


def worth_keeping(day: date, last: date) -> bool:
    """Whether a day's checkpoint is kept once the day `last` was learned."""
    return day > last - timedelta(days=RECENT_DAYS) or (day + timedelta(days=1)).day == 1


def write_checkpoints(
    connection: psycopg.Connection, first: date, last: date, rules: str, made: Sequence[tuple[date, datetime, Memory]]
) -> None:
    """Replace the checkpoints of first..last, and forget daily ones that are older than recent."""
    ((newest,),) = connection.execute("SELECT greatest(%s, max(day)) FROM belief_checkpoints", (last,)).fetchall()
    connection.execute(
        "DELETE FROM belief_checkpoints WHERE day BETWEEN %s AND %s OR day <= %s AND extract(day FROM day + 1) <> 1",
        (first, last, newest - timedelta(days=RECENT_DAYS)),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO belief_checkpoints (day, as_of, rules, memory) VALUES (%s, %s, %s, %s)",
            [(day, as_of, rules, pack(memory)) for day, as_of, memory in made if worth_keeping(day, newest)],
        )


def pack(memory: Memory) -> bytes:
    """A memory as bytes (numpy's archive format, without pickle)."""
    parts = {
        f"{name}.{field.name}": np.asarray(getattr(part, field.name))
        for name, part in (("state", memory.state), ("volatility", memory.volatility))
        for field in fields(part)
    }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **parts)
    return file.getvalue()


def unpack(content: bytes) -> Memory:
    """The memory that `pack` made into bytes, bit for bit."""
    with np.load(io.BytesIO(content), allow_pickle=False) as parts:
        held: dict[str, dict[str, Any]] = {"state": {}, "volatility": {}}
        for name in parts.files:
            part, _, field = name.partition(".")
            held[part][field] = parts[name]
    state, volatility = held["state"], held["volatility"]
    names = {name: tuple(map(str, state[name])) for name in ("strategies", "regimes")}
    owners = tuple(map(int, volatility["owners"]))
    return Memory(
        State(**{**state, **names, "time": float(state["time"])}), Volatility(**{**volatility, "owners": owners})
    )
