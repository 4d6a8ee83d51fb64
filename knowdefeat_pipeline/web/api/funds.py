"""`/funds` and `/allocations`: what there is to divide, what each bot is given and why, and what it would be given."""

from __future__ import annotations

from datetime import date, timedelta
from http import HTTPStatus
from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.store import funds as store
from knowdefeat_pipeline.store.funds import FundsChanged, save_settings, settings_history, settings_record
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.web.access import Decider
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.api.cursors import links, next_address, part, plain, read_cursor
from knowdefeat_pipeline.web.bodies import takes
from knowdefeat_pipeline.web.funds import (
    SETTINGS,
    Asked,
    FundsAsked,
    known_settings,
    place,
    read_allocation,
    require_funds,
)
from knowdefeat_pipeline.web.parameters import Day, Spelled, named_version
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared
from knowdefeat_pipeline.web.tried_funds import differing, tried

router = APIRouter(tags=["funds"])
Currency = Annotated[str, Path(description="The currency of the funds."), Spelled]
NOTHING = "Nothing has been allocated yet. Set funds: knowdefeat funds set --funds AMOUNT; then: knowdefeat run"


@router.get("/funds", response_model=list[models.FundSettings])  # type: ignore[valid-type]
def funds(request: Request, site: Shared) -> Response:
    """The last settings of each currency."""
    return site.answer(request, lambda connection: as_json(store.latest_settings(connection)))


class FundsSet(FundsAsked):
    """Settings, and why."""

    reason: str = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")


@router.put(
    "/funds/{currency:path}", response_model=models.FundSettings, dependencies=[Depends(takes("application/json"))]
)
def set_funds(
    site: Shared,
    author: Decider,
    currency: Currency,
    wanted: FundsSet,
    if_match: Annotated[str | None, Header(description="The ETag of GET /funds/{currency}.")] = None,
    if_none_match: Annotated[str | None, Header(description="* for a currency without settings.")] = None,
) -> Response:
    """Put settings of a currency's funds in force from the last ranking on, as a new version. Needs the scope admin.

    428 without If-Match (for a currency without settings: If-None-Match: *); 412 where somebody else came first, with
    the latest version and the settings that differ.
    """
    with site.connection() as connection:
        known = known_settings(connection, currency)
        settings = wanted.on(known)
        try:
            number = _based_on(known, if_match, if_none_match)
            version = save_settings(connection, settings, author, wanted.reason.strip(), based_on=number)
        except FundsChanged as error:
            latest = error.latest or {"version": 0}
            versions = {row["version"]: row for row in settings_history(connection)}
            yours = settings_record(settings)
            raise Problem(
                HTTPStatus.PRECONDITION_FAILED,
                f'{error} Look at what differs, then send it again with If-Match: "{latest["version"]}".',
                {"ETag": f'"{latest["version"]}"'},
                latest=error.latest,
                differing=differing(SETTINGS, versions.get(error.based_on), error.latest, yours),
            ) from error
        made = require_funds(connection, currency)[0]
    answer = Answer(as_json(made).body, version=version)
    return Response(answer.body, media_type=answer.media_type, headers={"ETag": answer.etag})


def _based_on(known: FundSettings, if_match: str | None, if_none_match: str | None) -> int:
    """The version that the headers name, 0 for none; the latest where that is one of several, or `*`. Raises Problem,
    FundsChanged."""
    if if_none_match is not None and if_none_match.strip() == "*":
        return 0
    if if_match is None:
        how = (
            f'If-Match: "{known.version}", the ETag of GET'
            if known.version
            else "If-None-Match: *, for there is none at"
        )
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            f"Say which version this builds on, so that no change is lost: {how} /api/v1/funds/{known.quote_currency}.",
        )
    tags = [tag.strip() for tag in if_match.split(",")]
    if known.version and ("*" in tags or f'"{known.version}"' in tags):
        return known.version
    named = named_version(if_match)
    return -1 if named is None else named


@router.get("/funds/{currency:path}/days", response_model=list[models.AllocationDay])  # type: ignore[valid-type]
def funds_days(
    request: Request,
    site: Shared,
    currency: Currency,
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


# Behind that of its days, which it would take for part of a name.
@router.get("/funds/{currency:path}", response_model=list[models.FundSettings])  # type: ignore[valid-type]
def funds_of(request: Request, site: Shared, currency: Currency) -> Response:
    """All settings of a currency that were ever recorded, the latest first. Its ETag is the latest one's version, which
    a change sends back as If-Match."""

    def read(connection: psycopg.Connection) -> Answer:
        found = require_funds(connection, currency)
        return Answer(as_json(found).body, version=found[0]["version"])

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
        rows, last = part(chosen, place, None if cursor is None else read_cursor(cursor, *[plain] * 5), limit)
        following = next_address(request, last)
        currencies = [of for of in found.currencies if asked.currency in (None, of["quote_currency"])]
        return as_json(
            {"day": found.day, "count": len(chosen), "next": following, "currencies": currencies, "data": rows},
            links(following),
        )

    return site.answer(request, read)


class AllocationAsked(FundsAsked):
    """Settings to try."""

    currency: str = Field(description="The currency of the funds.")


class TriedAllocations(BaseModel):
    """A day's funds of one currency as other settings would divide them."""

    day: date = Field(description="The UTC day.")
    changed: int = Field(description="How many bots would get another amount.")
    summary: models.AllocationDay = Field(description="What would be allocated, and what would stay cash and why.")  # type: ignore[valid-type]
    data: list[models.TriedAllocation] = Field(description="Of each bot, the largest amounts first.")  # type: ignore[valid-type]


@router.post("/allocations/preview", response_model=TriedAllocations, dependencies=[Depends(takes("application/json"))])
def preview(
    site: Shared,
    asked: AllocationAsked,
    day: Annotated[Day | None, Query(description="UTC day; the last one ranked by default.")] = None,
) -> Response:
    """What each bot would be given by other settings, beside what it was given. Takes seconds; 429 while another is
    under way. Nothing is saved."""
    with site.connection() as connection:
        settings = asked.on(known_settings(connection, asked.currency))
        day = day or latest_day(connection)
    if day is None:
        raise Problem(HTTPStatus.NOT_FOUND, NOTHING)
    found = tried(site, settings, day)
    told = {"day": found.day, "changed": found.changed, "summary": found.summary, "data": found.rows}
    return Response(as_json(told).body, media_type="application/json")
