"""A closed trade as the outcome of a strategy's signal: how it is found again, and in what another one differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.reads import Record, records

SOURCE = "scanstream"


def recorded_outcome(connection: psycopg.Connection, outcome: str, bot: str) -> Record | None:
    """The trade of that id and bot, by column; None where there is none."""
    found = records(connection, query("trades/recorded_outcome"), {"source": SOURCE, "outcome": outcome, "bot": bot})
    return found[0] if found else None


def differing(known: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """In which of the given columns a trade is another one, by name."""
    return sorted(name for name, value in given.items() if name in known and known[name] != value)
