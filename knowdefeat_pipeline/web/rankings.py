"""The ranking as it is asked for: which bots, in which order. One rule for the page and the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Literal

import psycopg
from fastapi import Query
from pydantic import BeforeValidator

from knowdefeat_pipeline.store.ranking import ranked_bots
from knowdefeat_pipeline.store.reads import Record, latest_day
from knowdefeat_pipeline.web.parameters import Day
from knowdefeat_pipeline.web.problems import Problem

State = Literal["ranked", "unranked", "active", "inactive", "funded", "flagged"]
# By what the ranking can be sorted; a minus before the name turns it round.
SORTS = (
    *("rank", "rank_score", "p_skill", "edge", "moved_1d", "moved_7d", "pnl", "pnl_1d", "pnl_7d", "open_pnl", "trades"),
    *("win_rate", "profit_factor", "max_drawdown", "current_streak", "funds", "bot"),
)
_SORT = f"{', '.join(SORTS)}; with a minus before it the largest first. By money: within each currency."
MONEY = ("pnl", "pnl_1d", "pnl_7d", "open_pnl", "funds")
"""By which bots are sorted within each currency, as amounts of two cannot be compared."""
PLACE = 4  # parts of a row's place in the order (see `Asked.key`)
_STATES: dict[str, Callable[[Record], bool]] = {
    "ranked": lambda row: row["eligible"],
    "unranked": lambda row: not row["eligible"],
    "active": lambda row: row["is_active"],
    "inactive": lambda row: not row["is_active"],
    "funded": lambda row: bool(row["funds"]),
    "flagged": lambda row: row["flag"] is not None,
}


_EMPTY = BeforeValidator(lambda given: given or None)  # a form sends what was not chosen as an empty text


@dataclass(frozen=True)
class Asked:
    """What of the ranking is asked for."""

    day: Annotated[Day | None, _EMPTY, Query(description="UTC day; the last one computed by default.")] = None
    sort: Annotated[str, Query(description=_SORT)] = "rank"
    bot: Annotated[str | None, Query(description="Only bots whose name holds this.", max_length=200)] = None
    strategy: Annotated[str | None, Query(description="Only bots of this strategy.")] = None
    ticker: Annotated[str | None, Query(description="Only bots that trade mostly this ticker.")] = None
    state: Annotated[State | None, _EMPTY, Query(description="Only bots of this state.")] = None

    @property
    def column(self) -> str:
        """The name by which it is sorted."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the largest come first."""
        return self.sort.startswith("-")

    def key(self, row: Record) -> tuple[Any, ...]:
        """By which rows are in order: of money each currency for itself, those without the figure last, and bots by
        their key where they are equal. A minus turns round all but currencies and who is last."""
        value, currency = row[self.column], row["quote_currency"] if self.column in MONEY else ""
        if value is None:
            return (currency, 1, 0, row["bot_id"])
        if isinstance(value, str):
            value = value.casefold()
            value = _turned(value) if self.descending else value
        else:
            value = -float(value) if self.descending else float(value)
        return (currency, 0, value, -row["bot_id"] if self.descending else row["bot_id"])


_COMPLEMENT = bytes(range(255, -1, -1))


def _turned(text: str) -> str:
    """A text in the place that the other one has when texts are turned round: its bytes', which sort as its characters
    do, each taken from 255; and an end that comes behind all of them, as what goes on comes first then.

    >>> sorted(["a", "ab", "b"], key=_turned)
    ['b', 'ab', 'a']
    """
    return text.encode().translate(_COMPLEMENT).hex() + "~"


@dataclass(frozen=True)
class Ranking:
    """A day's ranking: all its `rows` by rank, and those that are `chosen`, as they were asked for."""

    day: date
    rows: Sequence[Record]
    chosen: Sequence[Record]

    def values(self, name: str) -> list[str]:
        """What there is to choose among."""
        return sorted({row[name] for row in self.rows if row[name]})


def read_ranking(connection: psycopg.Connection, asked: Asked) -> Ranking | None:
    """The ranking of the day, or of the last one; None while nothing is computed. Raises Problem."""
    if asked.column not in SORTS:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"sort: {asked.column} is none of {', '.join(SORTS)}")
    day = asked.day or latest_day(connection)
    if day is None:
        return None
    rows = ranked_bots(connection, day)
    chosen = [row for row in rows if _is_asked_for(row, asked)]
    return Ranking(day, rows, sorted(chosen, key=asked.key))


def _is_asked_for(row: Record, asked: Asked) -> bool:
    return (
        (not asked.bot or asked.bot.casefold() in row["bot"].casefold())
        and (not asked.strategy or row["strategy"] == asked.strategy)
        and (not asked.ticker or row["main_ticker"] == asked.ticker)
        and (asked.state is None or _STATES[asked.state](row))
    )
