"""One closed trade as the outcome of a strategy's signal, from a program: recorded once, however often it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import CheckViolation

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.store.reads import Record, records

SOURCE = "scanstream"
COLUMNS = (
    "source_trade_id", "bot_name", "strategy_id", "ticker", "direction", "entry_time", "exit_time", "entry_price",
    "exit_price", "notional", "fees", "quote_currency", "signal_confidence", "entry_quality", "exit_reason",
)  # fmt: skip


class OutcomeRefused(KnowDefeatError):
    """An outcome that is no trade; the message says why and what to do."""


class OutcomeDiffers(KnowDefeatError):
    """An outcome whose id is that of a trade with other values; `differing` names the fields."""

    def __init__(self, text: str, differing: list[str]) -> None:
        self.differing = differing
        super().__init__(text)


def record_outcome(connection: psycopg.Connection, outcome: Mapping[str, Any]) -> tuple[Record, bool]:
    """Record an outcome (of COLUMNS; without an id its content is its id); its trade_id and pnl, and whether it is new.

    The same again changes nothing. Raises OutcomeRefused, OutcomeDiffers.
    """
    row = dict(outcome)
    row["source_trade_id"] = row.get("source_trade_id") or _content(row)
    names = ("source", "status", *row)
    statement = sql.SQL("INSERT INTO trades ({}) VALUES ({}) ON CONFLICT (source, source_trade_id, bot_id) DO NOTHING")
    try:
        done = connection.execute(
            statement.format(
                sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join([sql.Placeholder()] * len(names))
            ),
            [SOURCE, "closed", *row.values()],
        )
    except CheckViolation as error:
        hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
        raise OutcomeRefused(f"{error.diag.message_primary}.{hint}") from error
    known = _recorded(connection, row)
    differing = sorted(name for name, value in row.items() if name != "bot_name" and known[name] != value)
    if differing:
        raise OutcomeDiffers(
            f"The trade {row['source_trade_id']} of {row['bot_name']} was recorded with other values: "
            f"{', '.join(differing)}. A closed trade stays as it is.",
            differing,
        )
    return {name: known[name] for name in ("trade_id", "source_trade_id", "pnl")}, done.rowcount == 1


def _recorded(connection: psycopg.Connection, row: Record) -> Record:
    statement = (
        "SELECT t.* FROM trades AS t JOIN bot_names AS n USING (bot_id) "
        "WHERE t.source = %(source)s AND t.source_trade_id = %(source_trade_id)s AND n.name = bot_name(%(bot_name)s)"
    )
    (known,) = records(connection, sql.SQL(statement), {"source": SOURCE, **row})
    return known


def _content(row: Record) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:32]
