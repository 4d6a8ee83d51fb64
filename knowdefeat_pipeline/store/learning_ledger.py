"""The ledger of learning: backtests that count in part, their withdrawal, resets. Entries are only ever added."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from shlex import quote
from typing import TYPE_CHECKING

import numpy as np
import psycopg

from knowdefeat_pipeline.core.beliefs.ledger import Entry, clock
from knowdefeat_pipeline.core.escaping import PLAIN_NAME, is_plain_name, printable, shortened
from knowdefeat_pipeline.core.units import micros
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import copy_arrow, query
from knowdefeat_pipeline.store.reads import Record, records

if TYPE_CHECKING:
    import pandas as pd


class LedgerError(KnowDefeatError):
    """An entry that the ledger cannot take; the message says why and what to do."""

    page = "guides/beliefs.md"


def entries(connection: psycopg.Connection) -> list[Entry]:
    """The ledger's entries in the order in which they come into force."""
    rows = connection.execute(
        "SELECT kind, nullif(in_force_from, '-infinity'), source, discount, strategy_id FROM belief_ledger "
        "ORDER BY in_force_from, entry_id"
    ).fetchall()
    return [Entry(kind, _units(at), source, discount, strategy) for kind, at, source, discount, strategy in rows]


def _units(at: datetime | None) -> float:
    return -np.inf if at is None else float(clock(micros([at]))[0])


def ledger_rows(connection: psycopg.Connection) -> list[Record]:
    """The ledger as people read it, the latest entry first, with the number of outcomes of each backtest."""
    return records(connection, query("beliefs/belief_ledger"), {})


def last_learned(connection: psycopg.Connection) -> tuple[date, datetime] | None:
    """The last day that was learned, and its as_of; None before the first."""
    row = connection.execute(
        "SELECT day, as_of FROM refreshed_days WHERE asset = 'strategy_weights' ORDER BY day DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1]) if row else None


def record_reset(connection: psycopg.Connection, strategy_id: str | None, reason: str) -> None:
    """Forget, from the last learned as_of on, what was learned of a strategy (None: of all) by then."""
    known = connection.execute("SELECT 1 FROM strategy_beliefs WHERE strategy_id = %s LIMIT 1", (strategy_id,))
    if strategy_id is not None and known.fetchone() is None:
        raise LedgerError(f"No beliefs for {strategy_id!r}. List strategies: knowdefeat beliefs")
    _record(connection, kind="reset", strategy_id=strategy_id, reason=reason)


def record_withdrawal(connection: psycopg.Connection, source: str, reason: str) -> None:
    """Let a backtest count no more. Raises LedgerError for one that was never learned, or is withdrawn already."""
    kinds = {row[0] for row in connection.execute("SELECT kind FROM belief_ledger WHERE source = %s", (source,))}
    if "backtest" not in kinds:
        raise LedgerError(f"No backtest was learned under the name {source!r}. See: knowdefeat beliefs ledger")
    if "withdrawal" in kinds:
        raise LedgerError(f"The backtest {source!r} has already been withdrawn. See: knowdefeat beliefs ledger")
    _record(connection, kind="withdrawal", source=source, reason=reason)


def record_backtest(connection: psycopg.Connection, rows: pd.DataFrame, source: str, discount: float) -> bool:
    """Learn a backtest's outcomes (exit_time, strategy_id, regime, result); False if it was learned before.

    Raises LedgerError for a name that stands for other outcomes.
    """
    import pyarrow as pa  # 40 MB that the pages, which learn no backtest, do not pay

    content = sha256(rows.to_csv(index=False).encode()).hexdigest()
    known = connection.execute(
        "SELECT content, discount FROM belief_ledger WHERE source = %s AND kind = 'backtest'", (source,)
    ).fetchone()
    if known == (content, discount):
        return False
    if known:
        raise LedgerError(
            f"The name {source!r} stands for a backtest with other outcomes or another discount ({known[1]:g}). "
            f"Choose another name; to have it replaced, also: knowdefeat beliefs withdraw {quote(source)} --reason TEXT"
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
    if not str(values["reason"]).strip():
        raise LedgerError("A reason is required: --reason TEXT")
    for name in filter(None, (values.get("source"), values.get("strategy_id"))):
        if not is_plain_name(str(name)):
            raise LedgerError(f"{shortened(printable(str(name)))!r} is no plain name; {PLAIN_NAME}")
    learned = last_learned(connection)
    values["in_force_from"] = learned[1].astimezone(UTC) if learned else "-infinity"
    ((entry,),) = connection.execute(
        f"INSERT INTO belief_ledger ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) "  # noqa: S608 (our own names)
        "RETURNING entry_id",
        [*values.values()],
    ).fetchall()
    return int(entry)
