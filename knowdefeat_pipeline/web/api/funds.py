"""`/funds` and `/allocations`: what there is to divide, and what each bot is given and why."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.api.cursors import links, next_address, part, read_cursor
from knowdefeat_pipeline.web.funds import Asked, place, read_allocation, require_funds
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["funds"])
NOTHING = "Nothing has been allocated yet. Set funds: knowdefeat funds set --funds AMOUNT; then: knowdefeat run"


@router.get("/funds", response_model=list[models.FundSettings])  # type: ignore[valid-type]
def funds(request: Request, site: Shared) -> Response:
    """The last settings of each currency."""
    return site.answer(request, lambda connection: as_json(store.latest_settings(connection)))


@router.get("/funds/{currency}", response_model=list[models.FundSettings])  # type: ignore[valid-type]
def funds_of(request: Request, site: Shared, currency: str) -> Response:
    """All settings of a currency that were ever recorded, the latest first."""
    return site.answer(request, lambda connection: as_json(require_funds(connection, currency)))


@router.get("/funds/{currency}/days", response_model=list[models.AllocationDay])  # type: ignore[valid-type]
def funds_days(
    request: Request,
    site: Shared,
    currency: str,
    days: Annotated[int, Query(ge=1, le=3660, description="The trailing UTC days.")] = 90,
) -> Response:
    """What was allocated in a currency day by day, what stayed cash and why; the earliest first."""

    def read(connection: psycopg.Connection) -> Answer:
        require_funds(connection, currency)
        last = latest_day(connection, "fund_allocation_days")
        if last is None:
            return as_json([])
        return as_json(store.allocation_days(connection, currency, last - timedelta(days=days - 1), last))

    return site.answer(request, read)


class DayAllocations(models.Allocations):  # type: ignore[valid-type, misc]
    """One day's allocation, or a part of it."""

    day: date = Field(description="The UTC day.")
    count: int = Field(description="How many bots there are in all parts.")
    currencies: list[models.AllocationDay] = Field(  # type: ignore[valid-type]
        description="Of each currency that is asked for its funds, what is allocated, and what stays cash and why."
    )


@router.get("/allocations", response_model=DayAllocations)
def allocations(
    request: Request,
    site: Shared,
    asked: Annotated[Asked, Depends()],
    limit: Annotated[int, Query(ge=1, le=1000, description="The most rows of a part.")] = 100,
    cursor: Annotated[str | None, Query(description="Where the part begins: from next or Link.")] = None,
) -> Response:
    """What each bot was given on a day and why, by currency, the largest amounts first."""

    def read(connection: psycopg.Connection) -> Answer:
        found = read_allocation(connection, asked.day)
        if found is None:
            raise Problem(404, NOTHING)
        chosen = asked.chosen(found.rows)
        rows, last = part(chosen, place, None if cursor is None else read_cursor(cursor, 5), limit)
        following = next_address(request, last)
        currencies = [of for of in found.currencies if asked.currency in (None, of["quote_currency"])]
        return as_json(
            {"day": found.day, "count": len(chosen), "next": following, "currencies": currencies, "data": rows},
            links(following),
        )

    return site.answer(request, read)
