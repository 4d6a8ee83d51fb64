"""Operations: is it fresh, and what ran?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from http import HTTPStatus
from typing import Annotated

import psycopg
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from knowdefeat_pipeline.core.schema import FRESHNESS
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.forms import Form
from knowdefeat_pipeline.web.operations import read_operations
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.refreshes import start_refresh
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Is everything fresh, and what ran?"


@router.get("/operations")
def operations(
    request: Request,
    site: Shared,
    started: Annotated[str | None, Query(max_length=100, description="The run that was just asked for.")] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """What doctor finds, how fresh each result is, the last runs, and how large everything is."""
    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        found = read_operations(connection, site.settings)
        if format:
            return export(found.assets, FRESHNESS, format, "operations")
        now = clock.now(connection)
        return render(
            "operations.html", request, site,
            question=QUESTION, found=found, now=now, formats=FORMATS, decides=decides, started=started,
            needs=[finding for finding in found.findings if finding.level != "ok"],
        )  # fmt: skip

    return site.answer(request, read, results=False)


@router.post("/operations/refresh")
def refresh(request: Request, site: Shared, form: Form) -> Response:
    """Start a refresh of the days that the form names, or of what is stale."""
    author = requires("admin")(request)
    found = start_refresh(site, author, _day(form, "first"), _day(form, "last"))
    return RedirectResponse(f"/operations?started={found.run_id}", HTTPStatus.SEE_OTHER)


def _day(form: Mapping[str, str], name: str) -> date | None:
    given = form.get(name, "").strip()
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: '{given[:40]}' is no day; write 2025-01-31.") from None
