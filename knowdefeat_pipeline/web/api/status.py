"""`/health`, `/status`, `/refreshes`, `/metrics`, `/definitions`, and `/events`, by which pages hear of new results."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field

from knowdefeat_pipeline.core.schema import BOT_DAYS, DECISIONS, TABLES, TRADES
from knowdefeat_pipeline.web.access import Decider
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.bodies import takes
from knowdefeat_pipeline.web.gauges import scrape
from knowdefeat_pipeline.web.operations import read_operations
from knowdefeat_pipeline.web.parameters import Day
from knowdefeat_pipeline.web.refreshes import start_refresh
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["status"])
NO_STORE = {"Cache-Control": "no-store"}


class Health(BaseModel):
    """Whether this process can answer."""

    status: str = Field(description="ok, or away while the database cannot be reached.")


@router.get("/health", response_model=Health)
def health(site: Shared) -> Response:
    """Whether the database can be reached: 200, or 503."""
    with site.connection() as connection:
        connection.execute("SELECT 1")
    return Response(as_json({"status": "ok"}).body, media_type="application/json", headers=NO_STORE)


@router.get("/status")
def status(request: Request, site: Shared) -> Response:
    """How much there is, how fresh each result is, what ran, what came of followed files, and what doctor finds."""

    def read(connection: psycopg.Connection) -> Answer:
        found = read_operations(connection, site.settings)
        return as_json(
            {
                "counts": found.counts,
                "assets": found.assets,
                "findings": [asdict(finding) | {"level": finding.level} for finding in found.findings],
                "runs": found.runs,
                "failed_checks": found.failed_checks,
                "tables": found.tables,
                "followed": found.followed,
                "last_backup_at": found.last_backup.at if found.last_backup else None,
            }
        )

    return site.answer(request, read, results=False)


class RefreshAsked(BaseModel, extra="forbid"):
    """The days to compute; those that are stale where none is named."""

    first: Day | None = Field(None, description="The first UTC day; by default the last one, or what is stale.")
    last: Day | None = Field(None, description="The last UTC day; by default the first one, or what is stale.")


class RefreshStarted(BaseModel):
    """A run of Dagster's that computes days."""

    run_id: str = Field(description="Its id; GET /status tells of it.")
    first: date = Field(description="The first UTC day that it computes.")
    last: date = Field(description="The last UTC day that it computes.")


@router.post(
    "/refreshes", response_model=RefreshStarted, status_code=202, dependencies=[Depends(takes("application/json"))]
)
def start(site: Shared, author: Decider, asked: RefreshAsked) -> Response:
    """Start a refresh: a run of Dagster's over some days, or over what is stale. Needs a token of the scope admin.

    409 where nothing is stale, or no Dagster is known to the pages. What is stale is computed by itself while
    `knowdefeat up` runs.
    """
    found = start_refresh(site, author, asked.first, asked.last)
    return Response(as_json(asdict(found)).body, 202, media_type="application/json")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(
    request: Request,
    site: Shared,
    bots: Annotated[int, Query(ge=0, le=1000, description="Also of so many bots, the best first.")] = 0,
) -> Response:
    """What Prometheus scrapes: the fleet by currency, how fresh each result is, and this process."""

    def read(connection: psycopg.Connection) -> Answer:
        return scrape(connection, site.settings, site.live.viewers, bots, request.headers.get("accept", ""))

    return site.answer(request, read, results=False)


@router.get("/definitions")
def definitions(request: Request, site: Shared) -> Response:
    """Every figure: its table, name, type, unit and meaning."""

    def read(connection: psycopg.Connection) -> Answer:
        tables: dict[str, Any] = {**TABLES, **DECISIONS, "bot_days": BOT_DAYS, "trades": TRADES}
        return as_json(
            {
                table: [
                    {
                        "name": f.name,
                        "type": f.type,
                        "unit": f.unit,
                        "description": f.description,
                        "nullable": f.nullable,
                    }
                    for f in figures
                ]
                for table, figures in tables.items()
            }
        )

    return site.answer(request, read)


@router.get("/events", response_class=StreamingResponse)
async def events(site: Shared) -> StreamingResponse:
    """Server-Sent Events: `results` with a version whenever results or decisions changed; `away` without database."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(site.live.stream(), media_type="text/event-stream", headers=headers)
