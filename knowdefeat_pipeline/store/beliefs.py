"""Beliefs in the database: the ledger, the outcomes that are learned from, and what was left of them at checkpoints."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.core.belief_days import Memory, clock
from knowdefeat_pipeline.core.belief_state import State
from knowdefeat_pipeline.core.ledger import Entry
from knowdefeat_pipeline.core.results import Volatility
from knowdefeat_pipeline.core.series import micros
from knowdefeat_pipeline.store.database import copy_arrow, query
from knowdefeat_pipeline.store.reads import Record, records

RECENT_DAYS = 7  # checkpoints of the last days are kept, before that one a month
_LOCK = int.from_bytes(b"kdbelief", "big")  # the advisory lock of whoever learns
LEARNED = "strategy_weights"  # a day is learned once this asset is


class LedgerError(RuntimeError):
    """An entry that the ledger cannot take; the message says why and what to do."""


@contextmanager
def learning(connection: psycopg.Connection, rules: str) -> Iterator[str]:
    """Nobody else learns meanwhile. The snapshot whose outcomes are learned at least; stale checkpoints are gone.

    `rules`: checkpoints of other rules are stale too.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        with connection.transaction():
            seen = _forget_stale(connection, rules)
        yield seen
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _forget_stale(connection: psycopg.Connection, rules: str) -> str:
    ((seen,),) = connection.execute("SELECT pg_current_snapshot()::text").fetchall()
    row = connection.execute("SELECT seen::text FROM belief_checkpoints_state").fetchone()
    since = None
    if row:
        ((since,),) = connection.execute(query("beliefs_changed_since"), {"seen": row[0]}).fetchall()
    connection.execute("DELETE FROM belief_checkpoints WHERE as_of >= %s OR rules <> %s", (since, rules))
    connection.execute(
        "INSERT INTO belief_checkpoints_state (seen) VALUES (%s::pg_snapshot) "
        "ON CONFLICT (only_row) DO UPDATE SET seen = excluded.seen",
        (seen,),
    )
    return seen


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
        "DELETE FROM belief_checkpoints WHERE day BETWEEN %s AND %s "
        "OR day <= %s AND extract(day FROM day + 1) <> 1",
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


def outcomes(rows: pa.Table) -> pd.DataFrame:
    """Rows of `belief_outcomes` or `stated_confidence` as core takes them: times in microseconds."""
    place = rows.column_names.index("exit_time")
    return rows.set_column(place, "exit_time", rows["exit_time"].cast(pa.int64())).to_pandas()


def entries(connection: psycopg.Connection) -> list[Entry]:
    """The ledger's entries in the order in which they come into force."""
    rows = connection.execute(
        "SELECT kind, nullif(in_force_from, '-infinity'), source, discount, strategy_id FROM belief_ledger "
        "ORDER BY in_force_from, entry_id"
    ).fetchall()
    return [Entry(kind, _units(at), source, discount, strategy) for kind, at, source, discount, strategy in rows]


def _units(at: datetime | None) -> float:
    return -np.inf if at is None else float(clock(micros([at]))[0])


def ledger(connection: psycopg.Connection) -> list[Record]:
    """The ledger as people read it, the latest entry first, with the number of outcomes of each backtest."""
    return records(
        connection,
        "SELECT entry_id, kind, source, discount, strategy_id, reason, nullif(in_force_from, '-infinity') AS in_force_from, "
        "recorded_at, (SELECT count(*) FROM backtest_outcomes o WHERE o.entry_id = l.entry_id) AS outcomes "
        "FROM belief_ledger l ORDER BY entry_id DESC",
        {},
    )


def last_learned(connection: psycopg.Connection) -> tuple[date, datetime] | None:
    """The last day that was learned, and its as_of; None before the first."""
    row = connection.execute(
        "SELECT day, as_of FROM refreshed_days WHERE asset = %s ORDER BY day DESC LIMIT 1", (LEARNED,)
    ).fetchone()
    return (row[0], row[1]) if row else None


def record_reset(connection: psycopg.Connection, strategy_id: str | None, reason: str) -> None:
    """Forget, from the last learned as_of on, what was learned of a strategy (None: of all) by then."""
    if strategy_id is not None and not connection.execute(
        "SELECT FROM strategy_beliefs WHERE strategy_id = %s LIMIT 1", (strategy_id,)
    ).fetchone():
        raise LedgerError(f"Nothing was ever learned of a strategy {strategy_id!r}. See: knowdefeat beliefs")
    _record(connection, kind="reset", strategy_id=strategy_id, reason=reason)


def record_withdrawal(connection: psycopg.Connection, source: str, reason: str) -> None:
    """Let a backtest count no more. Raises LedgerError for one that was never learned, or is withdrawn already."""
    kinds = {row[0] for row in connection.execute("SELECT kind FROM belief_ledger WHERE source = %s", (source,))}
    if "backtest" not in kinds:
        raise LedgerError(f"No backtest was learned under the name {source!r}. See: knowdefeat beliefs ledger")
    if "withdrawal" in kinds:
        raise LedgerError(f"The backtest {source!r} is withdrawn already. See: knowdefeat beliefs ledger")
    _record(connection, kind="withdrawal", source=source, reason=reason)


def record_backtest(connection: psycopg.Connection, rows: pd.DataFrame, source: str, discount: float) -> bool:
    """Learn a backtest's outcomes (exit_time, strategy_id, regime, result); False if it was learned before.

    Raises LedgerError for a name that stands for other outcomes.
    """
    content = sha256(rows.to_csv(index=False).encode()).hexdigest()
    known = connection.execute(
        "SELECT content, discount FROM belief_ledger WHERE source = %s AND kind = 'backtest'", (source,)
    ).fetchone()
    if known == (content, discount):
        return False
    if known:
        raise LedgerError(
            f"The name {source!r} stands for a backtest with other outcomes or another discount ({known[1]:g}). "
            f"Choose another name; to have it replaced, also: knowdefeat beliefs withdraw {source} --reason TEXT"
        )
    with connection.transaction():
        entry = _record(
            connection, kind="backtest", source=source, discount=discount, content=content, reason=f"backtest {source}"
        )
        copy_arrow(
            connection, "backtest_outcomes", pa.Table.from_pandas(rows.assign(entry_id=entry), preserve_index=False)
        )
    return True


def _record(connection: psycopg.Connection, **values: object) -> int:
    """A new entry, in force from the last learned as_of on: what is shown changes, what was shown before stays."""
    learned = last_learned(connection)
    values["in_force_from"] = learned[1].astimezone(UTC) if learned else "-infinity"
    ((entry,),) = connection.execute(
        f"INSERT INTO belief_ledger ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) "  # noqa: S608 (our own names)
        "RETURNING entry_id",
        [*values.values()],
    ).fetchall()
    return entry
