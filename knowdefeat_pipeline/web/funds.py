"""The allocation as it is asked for: whose money goes where. One rule for the page and the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from shlex import quote
from typing import Annotated, Any

import psycopg
from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field

from knowdefeat_pipeline.core.funds.settings import AllocationMethod, FundSettings, beginning
from knowdefeat_pipeline.core.money import exact_units
from knowdefeat_pipeline.store import funds
from knowdefeat_pipeline.store.bots import bot_strategies
from knowdefeat_pipeline.store.funds import settings_of, settings_record
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.parameters import Day
from knowdefeat_pipeline.web.problems import Problem

_EMPTY = BeforeValidator(lambda given: given or None)  # a form sends what was not chosen as an empty text


@dataclass(frozen=True)
class Asked:
    """What of the allocations is asked for."""

    day: Annotated[Day | None, _EMPTY, Query(description="UTC day; the last one allocated by default.")] = None
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
        command = f"knowdefeat funds set --currency {quote(currency)} --funds AMOUNT"
        raise Problem(HTTPStatus.NOT_FOUND, f"No funds are set in {currency}. Set them: {command}")
    return versions


def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """By which the rows of a day are in order: the largest amount of each currency first."""
    rank = row["rank"]
    return row["quote_currency"], -float(row["amount"]), rank is None, rank or 0, row["bot_id"]


SETTINGS = (
    "funds", "method", "bot_cap", "ticker_cap", "minimum_ticket", "caution", "same_edge_limit", "drawdown_limit",
    "daily_loss_limit", "cool_down_hours",
)  # fmt: skip
"""What people set of the funds of a currency, as `fund_settings` calls it."""


class FundsAsked(BaseModel, extra="forbid"):
    """Settings of the funds of a currency; what is left out is as it is, or, where nothing is set yet, as it begins."""

    funds: Decimal | None = Field(None, description="What there is to divide, in the currency.", ge=0, le=10**12)
    method: AllocationMethod | None = Field(None, description="By what it is divided.")
    bot_cap: float | None = Field(None, description="The largest share of the funds in one bot.", gt=0, le=1)
    ticker_cap: float | None = Field(None, description="The largest share in all bots of one ticker.", gt=0, le=1)
    minimum_ticket: Decimal | None = Field(None, description="The least that a bot is given, if any.", ge=0, le=10**12)
    caution: float | None = Field(None, description="Only bots with P(edge > 0) above it; null: whatever.", ge=0, lt=1)
    same_edge_limit: float | None = Field(
        None, description="While all bots have one edge with more than this probability, 0.99 is needed.", gt=0, le=1
    )
    drawdown_limit: float | None = Field(None, description="Halt a bot so many % below its peak.", gt=0, le=100)
    daily_loss_limit: float | None = Field(
        None, description="Halt a bot that lost so many % of its capital in a day.", gt=0, le=100
    )
    cool_down_hours: float | None = Field(None, description="How long it then stays halted.", ge=0, le=720)

    def on(self, known: FundSettings) -> FundSettings:
        """The settings with what is given in place of what was known. Raises AmountError."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        given = {name: value for name, value in given.items() if value is not None or name == "caution"}
        for name in ("funds", "minimum_ticket"):
            if name in given:
                exact_units(given[name], known.quote_currency)
        return replace(settings_of(settings_record(known) | given), version=known.version)


def known_settings(connection: psycopg.Connection, currency: str) -> FundSettings:
    """The last settings of a currency, or those that it begins with. Raises Problem where no bot accounts in it."""
    latest = funds.latest_of(connection, currency)
    if latest is not None:
        return replace(settings_of(latest), in_force_from=None)
    there = funds.currencies(connection)
    if currency not in there:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"No bot accounts in {currency}; there are bots in {', '.join(there) or 'none yet'}."
        )
    return beginning(currency)
