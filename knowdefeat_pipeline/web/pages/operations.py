"""Operations: is it fresh, and what ran?"""

from __future__ import annotations

from typing import Annotated

import psycopg
from fastapi import APIRouter, Query, Request, Response

from knowdefeat_pipeline.core.schema import FRESHNESS
from knowdefeat_pipeline.postgres import clock
from knowdefeat_pipeline.web.answers import Answer
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.operations import read_operations
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.site import Shared

router = APIRouter()
QUESTION = "Is everything fresh, and what ran?"


@router.get("/operations")
def operations(request: Request, site: Shared, format: Annotated[Format | None, Query()] = None) -> Response:
    """What doctor finds, how fresh each result is, the last runs, and how large everything is."""

    def read(connection: psycopg.Connection) -> Answer:
        found = read_operations(connection, site.settings)
        if format:
            return export(found.assets, FRESHNESS, format, "operations")
        now = clock.now(connection)
        return render(
            "operations.html", request, site,
            question=QUESTION, found=found, now=now, formats=FORMATS,
            needs=[finding for finding in found.findings if finding.level != "ok"],
        )  # fmt: skip

    return site.answer(request, read, results=False)
