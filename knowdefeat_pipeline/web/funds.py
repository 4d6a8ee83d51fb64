"""The allocation as it is asked for: whose money goes where. One rule for the page and the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import Query
from pydantic import BeforeValidator

from knowdefeat_pipeline.store import funds
from knowdefeat_pipeline.store.bots import bot_strategies
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.problems import Problem

_EMPTY = BeforeValidator(lambda given: given or None)  # a form sends what was not chosen as an empty text


@dataclass(frozen=True)
class Asked:
    """What of the allocations is asked for."""

    day: Annotated[date | None, _EMPTY, Query(description="UTC day; the last one allocated by default.")] = None
    currency: Annotated[str | None, _EMPTY, Query(description="Only funds and bots of this currency.")] = None
    decision: Annotated[str | None, _EMPTY, Query(description="Only bots of which this was decided.")] = None
    ticker: Annotated[str | None, _EMPTY, Query(description="Only bots that count for this ticker's cap.")] = None

    def chosen(self, rows: Sequence[Record]) -> list[Record]:
        """Those of the rows that are asked for."""
        wanted = {"quote_currency": self.currency, "decision": self.decision, "ticker": self.ticker}
        return [row for row in rows if all(value in (None, row[name]) for name, value in wanted.items())]


@dataclass(frozen=True)
class Allocation:
    """A day's allocation: a record per currency, and of every bot its amount and why."""

    day: date
    currencies: list[Record]
    rows: list[Record]


def read_allocation(connection: psycopg.Connection, day: date | None) -> Allocation | None:
    """The allocation of a day, of the last one by default; None where nothing was ever allocated."""
    day = day or latest_day(connection, "fund_allocation_days")
    if day is None:
        return None
    currencies, rows = funds.allocation(connection, day)
    strategies = bot_strategies(connection)
    return Allocation(day, currencies, [row | {"strategy": strategies.get(row["bot_id"], "")} for row in rows])


def require_funds(connection: psycopg.Connection, currency: str) -> list[Record]:
    """All versions of a currency's settings, the latest first. Raises Problem where there are none."""
    versions = [row for row in funds.settings_history(connection) if row["quote_currency"] == currency]
    if not versions:
        raise Problem(HTTPStatus.NOT_FOUND, f"No funds are set in {currency}. Set them: knowdefeat funds set")
    return versions


def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By which the rows of a day are in order: the largest amount of each currency first."""
    rank = row["rank"]
    return row["quote_currency"], -float(row["amount"]), rank is None, rank or 0, row["bot_id"]
