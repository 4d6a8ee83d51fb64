"""Weights: what would other weights do?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.learning.ridge_experts import NAMED_SETS
from knowdefeat_pipeline.core.ranking.weight_set import WeightError, WeightVersion, normalise
from knowdefeat_pipeline.core.schema import VARIABLE_NAMES
from knowdefeat_pipeline.store.learning import (
    WeightsChanged,
    ai_setting,
    change_weights,
    evidence_of,
    last_adjustments,
    set_ai,
    weight_versions,
)
from knowdefeat_pipeline.store.reads import Record
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.api.models import PREVIEWED
from knowdefeat_pipeline.web.backtests import foretold
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Form, first_of_all, may_not
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.parameters import Day, Version, version_number
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared
from knowdefeat_pipeline.web.weights import differing, possible_weights, read_preview, shown_versions, version_of

router = APIRouter()
QUESTION = "What would other weights do?"
ROWS = 25
VERSIONS = 20
ATTEMPTS = 14
TEST_DAYS = 60


@router.get("/weights")
def weights_page(
    request: Request,
    site: Shared,
    version: Annotated[Version | None, Query(description="The weights of this version.")] = None,
    named: Annotated[str | None, Query(alias="set", description="The weights of this named set.")] = None,
    scale: Annotated[bool, Query(description="Scale them to an absolute sum of 100.")] = False,
    based_on: Annotated[Version | None, Query(description="The version that was looked at first.")] = None,
    reason: Annotated[str, Query(max_length=1000)] = "",
    tested: Annotated[bool, Query(description="Also how they would have foretold the last 60 days.")] = False,
    saved: Annotated[Version | None, Query(description="The version that was just saved.")] = None,
    rows: Annotated[int, Query(ge=1, le=1000)] = ROWS,
    day: Annotated[Day | None, Query(description="The day that is ranked.")] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """The weights, what a day's ranking would be with those of the address, and how they came about."""

    decides = may(request, "admin")

    def wanted(versions: Sequence[WeightVersion]) -> dict[str, float]:
        chosen = dict(_begun_with(versions, version, named)) | _numbers(request.query_params)
        return normalise(chosen) if scale else chosen

    test = None
    if tested:  # which holds no connection while it computes
        with site.connection() as connection:
            tried = possible_weights(wanted(weight_versions(connection)))
        test = foretold(site, tried, TEST_DAYS)

    def read(connection: psycopg.Connection) -> Answer:
        versions = weight_versions(connection)
        shown = wanted(versions)
        asked = {"based_on": based_on or versions[-1].version, "reason": reason, "rows": rows, "day": day}
        asked["decides"] = decides
        if format:
            found = read_preview(connection, possible_weights(shown), day)
            return export(found.rows[:rows] if found else [], PREVIEWED, format, "weights", day or "latest")
        news = f"Version {saved} is saved." if saved == versions[-1].version else None
        return _page(request, site, connection, shown, asked, news=news, test=test)

    return site.answer(request, read, viewer="admin" if decides else "")


def _begun_with(versions: Sequence[WeightVersion], version: int | None, named: str | None) -> Mapping[str, float]:
    """The weights that the address changes: by default the latest."""
    if named is not None:
        if named not in NAMED_SETS:
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no set of that name; there are {', '.join(NAMED_SETS)}.")
        return NAMED_SETS[named]
    return versions[-1].weights if version is None else version_of(versions, version).weights


def _numbers(fields: Mapping[str, str]) -> dict[str, float]:
    """The weights among the fields of a form or an address. Raises Problem."""
    found = {}
    for name in VARIABLE_NAMES:
        if name in fields:
            try:
                found[name] = float(fields[name])
            except ValueError:
                raise Problem(422, f"{name}: '{fields[name][:40]}' is no number.") from None
    return found


def _page(
    request: Request,
    site: Shared,
    connection: psycopg.Connection,
    shown: Mapping[str, float],
    asked: Mapping[str, Any],
    *,
    news: str | None = None,
    trouble: str | None = None,
    conflict: Sequence[Record] = (),
    test: Mapping[str, Any] | None = None,
) -> Answer:
    """The page with these weights in its form. `conflict`: what differs from what somebody else saved meanwhile.
    `test`: what they would have foretold."""
    versions = shown_versions(connection)
    attempts = last_adjustments(connection, ATTEMPTS)
    preview = read_preview(connection, possible_weights(shown), asked["day"])
    return render(
        "weights.html", request, site,
        question=QUESTION, shown=shown, latest=versions[0], versions=versions[:VERSIONS], number=len(versions),
        preview=preview, learner=ai_setting(connection), attempts=attempts, news=news, trouble=trouble,
        conflict=conflict, test=test, sets=NAMED_SETS, formats=FORMATS,
        evidence=_evidence(connection, versions, attempts), total=sum(abs(value) for value in shown.values()), **asked,
    )  # fmt: skip


def _evidence(
    connection: psycopg.Connection, versions: Sequence[Record], attempts: Sequence[Record]
) -> Mapping[str, Any] | None:
    """What the learner rests on: that of its last attempt with any, else of its last version."""
    for attempt in attempts:
        if "ic" in attempt["evidence"]:
            return dict(attempt["evidence"]) | {"day": attempt["day"]}
    for version in versions:
        if version["author"] == "ai":
            return evidence_of(connection, version["version"])
    return None


@router.post("/weights")
def save(request: Request, site: Shared, form: Form) -> Response:
    """Save the weights of the form as a new version; what was typed stays on the page where that cannot be."""
    by, refused = may_not(request, "admin")  # before a connection is taken, as it takes one itself
    with first_of_all(refused):
        shown = _numbers(form)
        reason, based_on = form.get("reason", "")[:1000], _based_on(form)
    conflict: list[Record] = []
    try:
        if refused:
            raise refused
        if not reason.strip():
            raise Problem(422, "Say why: the reason is kept with the version.")
        with site.connection() as connection:
            _, made = change_weights(connection, lambda _: shown, reason=reason.strip(), based_on=based_on, by=by)
        return RedirectResponse(f"/weights?saved={made.version}", HTTPStatus.SEE_OTHER)
    except WeightsChanged as error:
        status, trouble = HTTPStatus.PRECONDITION_FAILED, str(error)
        with site.connection() as connection:
            conflict = differing(connection, error, shown)
        based_on = error.latest.version  # who saves now has seen it
    except WeightError as error:
        status, trouble = HTTPStatus.UNPROCESSABLE_ENTITY, str(error).replace("(normalise", "(Scale to 100")
    except Problem as error:
        status, trouble = error.status, _told(error)
    asked = {"reason": reason, "based_on": based_on, "rows": ROWS, "day": None, "decides": may(request, "admin")}
    with first_of_all(refused), site.snapshot() as connection:
        answer = _page(request, site, connection, shown, asked, trouble=trouble, conflict=conflict)
    return Response(answer.body, status, {**answer.headers, "Cache-Control": "no-store"}, media_type=answer.media_type)


def _based_on(form: Mapping[str, str]) -> int:
    number = version_number(form.get("based_on", ""))
    if number is None:
        raise Problem(422, "based_on: the number of the version that the change builds on is missing.")
    return number


def _told(error: Problem) -> str:
    """The reason as people read it, who have no header to set."""
    if error.status is HTTPStatus.UNAUTHORIZED:
        return "This browser is not logged in: open the address that knowdefeat up prints, then save again."
    return str(error)


@router.post("/weights/learner")
def switch(request: Request, site: Shared, form: Form) -> Response:
    """Switch the daily adjustment on or off."""
    requires("admin")(request)
    reason = form.get("reason", "").strip()
    if form.get("ai_enabled") not in ("yes", "no") or not reason:
        raise Problem(422, "Say on or off, and why: the reason is kept.")
    with site.connection() as connection:
        set_ai(connection, form["ai_enabled"] == "yes", reason[:1000])
    return RedirectResponse("/weights", HTTPStatus.SEE_OTHER)
