"""Data: what was refused, and how is it mended?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from knowdefeat_pipeline.core.escaping import printable
from knowdefeat_pipeline.core.schema import Figure
from knowdefeat_pipeline.core.schema.figure import text
from knowdefeat_pipeline.sources.fields import COLUMNS, FIELDS
from knowdefeat_pipeline.store import arrivals, imported, quarantined
from knowdefeat_pipeline.store.fleet import held_rows
from knowdefeat_pipeline.store.reads import latest_day
from knowdefeat_pipeline.web.access import may, requires
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api.imports import Number, there
from knowdefeat_pipeline.web.api.trades import corrects, how_to_read
from knowdefeat_pipeline.web.bodies import uploaded
from knowdefeat_pipeline.web.exports import FORMATS, Format, export
from knowdefeat_pipeline.web.intake import a_place
from knowdefeat_pipeline.web.pages.rendering import render
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared, Site

router = APIRouter()
QUESTION = "What was refused, and how is it mended?"
HELD, IMPORTS, LAST, SOURCES = 50, 20, 10, 20
CHECKED_DAYS = 7  # whose trades are held against each other; the audit looks at all days
SAID = {"source": 200, "currency": 20, "timezone": 100, "bot": 200, "size": 20, "fees": 20, "map": 10_000}
"""What a form may say of a file, and how long that may be."""
REFUSED_AGAIN = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
EXPORTED: tuple[Figure, ...] = (
    Figure("quarantine_id", "bigint", "", "Its number.", nullable=False),
    text("source", "The source that it came from."),
    text("file_name", "The file."),
    Figure("row_number", "bigint", "", "Which row of the file.", nullable=False),
    text("reason", "Why it was refused."),
    Figure("column_name", "text", "", "The column to blame."),
    text("message", "What is wrong, and the remedy."),
    text("original", "The row as it came, as JSON."),
    Figure("quarantined_at", "timestamptz", "UTC", "When it was refused.", nullable=False),
)


@router.get("/data")
def data(
    request: Request,
    site: Shared,
    reason: Annotated[str | None, Query(max_length=100)] = None,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    format: Annotated[Format | None, Query()] = None,
) -> Response:
    """Held rows and why, imports, where trades come from, and what of them does not fit together."""
    decides, brings = may(request, "admin"), may(request, "ingest")
    checked = _checked(site)

    def read(connection: psycopg.Connection) -> Answer:
        held = quarantined.quarantined(connection, "held", HELD + 1, reason=reason or None, after=after)
        if format:
            rows = [asdict(row) | {"original": json.dumps(row.original, ensure_ascii=False)} for row in held[:HELD]]
            return export(rows, EXPORTED, format, "held-rows")
        taken = imported.imports(connection, IMPORTS + 1, before)
        return render(
            "data.html", request, site,
            question=QUESTION, held=held[:HELD], more=held[HELD - 1].quarantine_id if len(held) > HELD else None,
            in_all=held_rows(connection), reasons=quarantined.held_by_reason(connection), reason=reason,
            imports=taken[:IMPORTS], earlier=taken[IMPORTS - 1].import_id if len(taken) > IMPORTS else None,
            before=before, after=after, sources=arrivals.sources(connection, SOURCES),
            last=arrivals.last_recorded(connection, LAST), checked=checked, checked_days=CHECKED_DAYS,
            formats=FORMATS, decides=decides, brings=brings,
        )  # fmt: skip

    return site.answer(request, read, results=False)


def _checked(site: Site) -> dict[str, Any]:
    """What does not fit together, once a version of the results: it reads a week of trades."""

    def compute() -> Answer:
        with site.snapshot() as connection:
            last = latest_day(connection)
            return as_json(arrivals.disagreements(connection, last, CHECKED_DAYS) if last else {})

    answer, _ = site.answers.get("disagreements", lambda: site.live.version, compute)
    found: dict[str, Any] = json.loads(answer.body)
    return found


@router.get("/data/rows/{quarantine_id}")
def row(request: Request, site: Shared, quarantine_id: Number) -> Response:
    """One refused row, and how it is mended."""
    decides, brings = may(request, "admin"), may(request, "ingest")
    return site.answer(
        request,
        lambda connection: _row(request, site, connection, quarantine_id, decides=decides, brings=brings),
        results=False,
    )


def _row(
    request: Request,
    site: Site,
    connection: psycopg.Connection,
    quarantine_id: int,
    *,
    decides: bool,
    brings: bool,
    given: Mapping[str, str] | None = None,
    refusal: str | None = None,
) -> Answer:
    found = there(quarantined.find_row, connection, quarantine_id)
    cells = {name: cell or "" for name, cell in found.original.items()}
    known = {**found.layout.get("columns", {})}
    return render(
        "data_row.html", request, site,
        is_live=False, row=found, cells=cells | {**(given or {})}, refusal=refusal, decides=decides, brings=brings,
        fields={column: field for field, column in known.items()}, meanings=FIELDS, told=printable,
    )  # fmt: skip


@router.post("/data/rows/{quarantine_id}", dependencies=[Depends(requires("ingest")), Depends(a_place)])
async def mend(request: Request, site: Shared, quarantine_id: Number) -> Response:
    """Correct a held row and record it; where it is refused again, what was typed stays, with the reason."""
    form = await request.form()
    given = {name.removeprefix("cell:"): str(text) for name, text in form.items() if name.startswith("cell:")}
    return await run_in_threadpool(_mended, request, site, quarantine_id, given)


def _mended(request: Request, site: Site, quarantine_id: int, given: Mapping[str, str]) -> Response:
    with site.connection() as connection:
        found = there(quarantined.find_row, connection, quarantine_id)
    corrections = {name: cell for name, cell in given.items() if cell != (found.original.get(name) or "")}
    try:
        site.intake.ask("release", quarantine_id=quarantine_id, corrections=corrections)
    except Problem as problem:
        if problem.status not in REFUSED_AGAIN:
            raise
        about: dict[str, Any] = {
            "given": given,
            "refusal": str(problem),
            "brings": True,
            "decides": may(request, "admin"),
        }
        with site.connection() as connection:
            answer = _row(request, site, connection, quarantine_id, **about)
        return _page(answer, problem.status)
    return RedirectResponse(f"/data/rows/{quarantine_id}", HTTPStatus.SEE_OTHER)


@router.post("/data/rows/{quarantine_id}/discard", dependencies=[Depends(requires("admin")), Depends(a_place)])
def discard(site: Shared, quarantine_id: Number, note: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Settle a held row as not wanted."""
    site.intake.ask("discard", quarantine_id=quarantine_id, note=note.strip() or None)
    return RedirectResponse(f"/data/rows/{quarantine_id}", HTTPStatus.SEE_OTHER)


@router.get("/data/imports/{import_id}")
def one_import(request: Request, site: Shared, import_id: Number) -> Response:
    """One import: where it came from, how it was read, what became of its rows; and undoing it."""
    decides = may(request, "admin")

    def read(connection: psycopg.Connection) -> Answer:
        found = there(imported.find_import, connection, import_id)
        refused = quarantined.refused_of_import(connection, import_id, HELD)
        return render("data_import.html", request, site, of=found, refused=refused, decides=decides)

    return site.answer(request, read, results=False)


@router.post("/data/imports/{import_id}/undo", dependencies=[Depends(requires("admin")), Depends(a_place)])
def undo(site: Shared, import_id: Number, author: Annotated[str, Depends(requires("admin"))]) -> Response:
    """Take an import back."""
    site.intake.ask("undo", import_id=import_id, author=author)
    return RedirectResponse(f"/data/imports/{import_id}", HTTPStatus.SEE_OTHER)


@router.get("/data/upload")
def upload(request: Request, site: Shared) -> Response:
    """The form for a file of trades."""
    brings, decides = may(request, "ingest"), may(request, "admin")
    return site.answer(request, lambda _: _upload(request, site, brings=brings, decides=decides), results=False)


def _upload(request: Request, site: Site, *, brings: bool, decides: bool, **found: Any) -> Answer:
    shown = {"said": {}, "previews": None, "taken": None, "refusal": None, "errors": ()} | found
    return render(
        "data_upload.html",
        request,
        site,
        is_live=False,
        brings=brings,
        decides=decides,
        columns=("row_number", *COLUMNS, "pnl"),
        **shown,
    )


@router.post("/data/upload", dependencies=[Depends(requires("ingest")), Depends(a_place)])
async def take_in(
    request: Request,
    site: Shared,
    author: Annotated[str, Depends(requires("ingest"))],
) -> Response:
    """Show how a file would be read, or record it.

    The form is read here, so that nobody's file is taken in before it is known that he may bring one.
    """
    form = await request.form(max_files=1, max_fields=2 * len(SAID))
    said: dict[str, Any] = {name: str(form.get(name, ""))[:most] for name, most in SAID.items()}
    stated: dict[str, Any] = {name: value.strip() or None for name, value in said.items()}
    file, replace = form.get("file"), form.get("replace") == "true"
    await run_in_threadpool(corrects, request, replace)
    try:
        if not isinstance(file, UploadFile):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Choose a file.")
        name = printable(file.filename or "upload")
        how = how_to_read(**stated | {"map": said["map"].split()})
        async with uploaded(file) as path:
            about: dict[str, Any] = {"path": str(path), "name": name, "how": how}
            if form.get("deed") != "record":
                found: dict[str, Any] = {"previews": await run_in_threadpool(site.intake.ask, "preview_file", **about)}
            else:
                about |= {"author": author, "replaces": replace}
                found = {"taken": await run_in_threadpool(site.intake.ask, "record_file", **about)}
        status = HTTPStatus.OK
    except Problem as problem:
        if problem.status not in (*REFUSED_AGAIN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            raise
        found, status = {"refusal": str(problem)}, problem.status
    shown: dict[str, Any] = {"said": said | {"replace": replace}, **found}
    decides = await run_in_threadpool(may, request, "admin")
    answer = await run_in_threadpool(_upload, request, site, brings=True, decides=decides, **shown)
    return _page(answer, status)


def _page(answer: Answer, status: HTTPStatus) -> Response:
    headers = {"Cache-Control": "no-store", **answer.headers}
    return Response(answer.body, status, headers, media_type=answer.media_type)
