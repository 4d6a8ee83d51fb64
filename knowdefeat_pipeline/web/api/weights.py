"""`/weights`: what is in force, how it came about, how a person changes it, and what other weights would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.ranking.weight_set import WeightVersion
from knowdefeat_pipeline.store.learning import (
    WeightsChanged,
    ai_setting,
    change_weights,
    evidence_of,
    last_adjustments,
    set_ai,
    weight_versions,
)
from knowdefeat_pipeline.web.access import Decider, requires
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api import models
from knowdefeat_pipeline.web.api.cursors import links, next_address, part, read_cursor
from knowdefeat_pipeline.web.api.cursors import number as row_number
from knowdefeat_pipeline.web.api.rankings import NOTHING
from knowdefeat_pipeline.web.backtests import foretold
from knowdefeat_pipeline.web.parameters import DayAsked, Version, named_version
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared
from knowdefeat_pipeline.web.weights import (
    differing,
    possible_weights,
    read_preview,
    read_ranks,
    shown_version,
    shown_versions,
    version_of,
)

router = APIRouter(tags=["weights"])

Number = Annotated[Version, Path(description="The number of the version.")]
Cursor = Annotated[str | None, Query(description="Where the part begins: from next or Link.")]
IfMatch = Annotated[str | None, Header(description="The ETag of GET /weights: the version that the change builds on.")]
ReasonField = Field(description="Why; it stays on record.", min_length=1, max_length=1000, pattern=r"\S")
WeightsField = Field(description='By variable: {"avg_win_rate": 12.5, …}. Variables left out of a preview are 0.')


class WeightSet(BaseModel):
    """A whole set of weights, and why."""

    weights: dict[str, float] = WeightsField
    reason: str = ReasonField
    normalise: bool = Field(False, description="Scale them to an absolute sum of 100.0 and round them.")


class Rollback(BaseModel):
    """Which weights come back."""

    version: Version = Field(description="The version whose weights come back, as a new version.")
    reason: str | None = Field(None, description="Why.", max_length=1000)


class LearnerSwitch(BaseModel):
    """Whether the learner adjusts the weights once a day, and why."""

    ai_enabled: bool = Field(description="On or off.")
    reason: str = ReasonField


class Tried(BaseModel):
    """Weights to rank with."""

    weights: dict[str, float] = WeightsField


class Foretold(BaseModel):
    """How well a set of weights foretold the day after, over a number of settled days."""

    days: int = Field(description="Days whose next day is known for at least two bots.")
    rank_ic: float | None = Field(description="Mean rank correlation of a day's order with what bots earned after it.")
    rank_ic_se: float | None = Field(description="Its standard error, by the stationary bootstrap.")
    gain: float | None = Field(description="Mean difference of the rank IC to that of the default weights.")
    gain_se: float | None = Field(description="Its standard error.")
    gain_low: float | None = Field(description="Lower end of its 95 % interval.")
    gain_high: float | None = Field(description="Upper end of its 95 % interval.")
    top_quartile_result: float | None = Field(description="What the best quarter earned, in a day's volatility.")


class WeightBacktest(BaseModel):
    """Weights beside the default ones."""

    yours: Foretold = Field(description="The weights that were sent.")
    default: Foretold = Field(description="The default weights.")


class WeightPreview(BaseModel):
    """A day's ranking as it would be with other weights."""

    day: date = Field(description="UTC day.")
    weight_version: int | None = Field(description="The version that the recorded ranking was made with.")
    moved: int = Field(description="How many ranked bots would be on another place.")
    newcomers: int = Field(description="How many bots would be new among the first 50.")
    data: list[models.PreviewedBot] = Field(description="The bots in order, unranked ones last.")  # type: ignore[valid-type]


@router.get("/weights", response_model=models.Weights)
def weights(request: Request, site: Shared) -> Response:
    """The latest version of the weights. Its ETag is the version's number, which a change sends back as If-Match."""

    def read(connection: psycopg.Connection) -> Answer:
        latest = shown_versions(connection)[0]
        return Answer(as_json(latest).body, version=latest["version"])

    return site.answer(request, read)


@router.put("/weights", response_model=models.Weights)
def put_weights(site: Shared, by: Decider, chosen: WeightSet, if_match: IfMatch = None) -> Response:
    """Put a set of weights in force from now on, as a new version. Needs a token of the scope admin.

    428 without If-Match; 412 where somebody else came first, with the latest version and the variables that differ.
    """
    return _change(site, lambda _: chosen.weights, chosen.reason, if_match, by, scale=chosen.normalise)


@router.post("/weights/rollback", response_model=models.Weights)
def roll_back(site: Shared, by: Decider, chosen: Rollback, if_match: IfMatch = None) -> Response:
    """Put the weights of an earlier version in force again, as a new version. Needs a token of the scope admin."""
    reason = (chosen.reason or "").strip() or f"Rollback to version {chosen.version}"
    return _change(site, lambda versions: version_of(versions, chosen.version).weights, reason, if_match, by)


Make = Callable[[Sequence[WeightVersion]], Mapping[str, float]]


def _change(site: Shared, make: Make, reason: str, if_match: str | None, by: str, scale: bool = False) -> Response:
    with site.connection() as connection:
        try:
            based_on = _based_on(if_match, weight_versions(connection)[-1])
            before, made = change_weights(
                connection, make, reason=reason.strip(), based_on=based_on, scale=scale, by=by
            )
        except WeightsChanged as error:
            raise Problem(
                HTTPStatus.PRECONDITION_FAILED,
                f'{error} Look at what differs, then send it again with If-Match: "{error.latest.version}".',
                {"ETag": f'"{error.latest.version}"'},
                latest=shown_version(error.latest, None),
                differing=differing(connection, error, make(weight_versions(connection))),
            ) from error
    answer = Answer(as_json(shown_version(made, before)).body, version=made.version)
    return Response(answer.body, media_type=answer.media_type, headers={"ETag": answer.etag})


def _based_on(if_match: str | None, latest: WeightVersion) -> int:
    """The version that If-Match names; the latest if that is one of several, or `*`. Raises Problem, WeightsChanged."""
    if if_match is None:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            f'Say which version this builds on, so that no change is lost: If-Match: "{latest.version}", the ETag of '
            "GET /api/v1/weights.",
        )
    tags = [tag.strip() for tag in if_match.split(",")]
    if "*" in tags or f'"{latest.version}"' in tags:
        return latest.version
    raise WeightsChanged(latest, min(named_version(if_match) or 0, latest.version))


@router.get("/weights/versions", response_model=models.WeightVersions)
def versions(
    request: Request,
    site: Shared,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most rows of a part.")] = 100,
    cursor: Cursor = None,
) -> Response:
    """Every version, the latest first: who, why, since when, and how far it moved."""

    def read(connection: psycopg.Connection) -> Answer:
        after = None if cursor is None else read_cursor(cursor, row_number)
        rows, place = part(shown_versions(connection), lambda row: (-row["version"],), after, limit)
        following = next_address(request, place)
        return as_json({"next": following, "data": rows}, links(following))

    return site.answer(request, read)


class WeightsWithEvidence(models.Weights):
    """A version of the weights, and what it rests on."""

    evidence: dict[str, Any] = Field(
        description="What it rests on: based_on, and by, the name of the token that set it; of the learner's also rank "
        "IC and money of learned, default, equal, "
        "persistence and random weights, and a statement in words."
    )


@router.get("/weights/versions/{version}", response_model=WeightsWithEvidence)
def version(request: Request, site: Shared, version: Number) -> Response:
    """One version and its evidence."""

    def read(connection: psycopg.Connection) -> Answer:
        found = version_of(weight_versions(connection), version).version
        row = next(row for row in shown_versions(connection) if row["version"] == found)
        return as_json(row | {"evidence": evidence_of(connection, found)})

    return site.answer(request, read)


@router.get("/weights/learner", response_model=models.LearnerSetting)
def learner(request: Request, site: Shared) -> Response:
    """Whether the learner adjusts the weights once a day, since when and why."""
    return site.answer(request, lambda connection: as_json(ai_setting(connection)))


@router.patch("/weights/learner", response_model=models.LearnerSetting, dependencies=[Depends(requires("admin"))])
def switch_learner(site: Shared, switch: LearnerSwitch) -> Response:
    """Switch the daily adjustment on or off. Needs a token of the scope admin."""
    with site.connection() as connection:
        set_ai(connection, switch.ai_enabled, switch.reason.strip())
        return Response(as_json(ai_setting(connection)).body, media_type="application/json")


@router.get("/weights/adjustments", response_model=list[models.WeightAdjustment])  # type: ignore[valid-type]
def daily_adjustments(
    request: Request,
    site: Shared,
    limit: Annotated[int, Query(ge=1, le=1000, description="The most days, the latest first.")] = 30,
) -> Response:
    """What the daily adjustment came to on each day that it was asked, and what that rests on."""
    return site.answer(request, lambda connection: as_json(last_adjustments(connection, limit)))


@router.get("/weights/ranks")
def ranks(request: Request, site: Shared, day: DayAsked = None) -> Response:
    """What the page Weights ranks with while it is moved: of each eligible bot the numbers n of its ranks of the 19
    variables, where a rank is n / 2 / steps - 1/2, and a score 50 + Σ (100 · rank · weight / Σ|weight|)."""

    def read(connection: psycopg.Connection) -> Answer:
        found = read_ranks(connection, day)
        if found is None:
            raise Problem(404, NOTHING)
        return as_json(found)

    return site.answer(request, read)


@router.post("/weights/backtest", response_model=WeightBacktest)
def weight_backtest(
    site: Shared,
    tried: Tried,
    days: Annotated[int, Query(ge=10, le=3660, description="The last settled days that count.")] = 60,
) -> Response:
    """How well weights would have foretold the day after, beside the default ones. Takes seconds; 429 while another is
    under way. Nothing is saved."""
    found = foretold(site, possible_weights(tried.weights), days)
    return Response(as_json(found).body, media_type="application/json")


@router.post("/weights/preview", response_model=WeightPreview)
def preview(site: Shared, tried: Tried, day: DayAsked = None) -> Response:
    """The ranking of a day as it would be with these weights, of whatever sum; to the last bit what a run would write.
    Nothing is saved."""
    with site.snapshot() as connection:
        found = read_preview(connection, possible_weights(tried.weights), day)
    if found is None:
        raise Problem(404, NOTHING)
    told = {"day": found.day, "weight_version": found.weight_version, "moved": found.moved}
    body = as_json(told | {"newcomers": found.newcomers, "data": found.rows}).body
    return Response(body, media_type="application/json")
