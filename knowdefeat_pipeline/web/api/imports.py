"""`/imports` and `/quarantine`: what was taken in, what of it was refused, and what becomes of either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from knowdefeat_pipeline.sources.fields import Reason
from knowdefeat_pipeline.store import imported as store
from knowdefeat_pipeline.store import quarantined as held
from knowdefeat_pipeline.web.access import requires
from knowdefeat_pipeline.web.answers import Answer, as_json
from knowdefeat_pipeline.web.api.cursors import links, next_address, number, read_cursor
from knowdefeat_pipeline.web.api.models import Page
from knowdefeat_pipeline.web.bodies import takes
from knowdefeat_pipeline.web.intake import a_place
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Shared

router = APIRouter(tags=["imports"])

Limit = Annotated[int, Query(ge=1, le=1000, description="The most rows of a part.")]
Cursor = Annotated[str | None, Query(description="Where the part begins: from next or Link.")]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Its number.")]
Kind = TypeVar("Kind")


class Import(BaseModel):
    """One file or batch that was taken in. Counts are of its rows."""

    import_id: int = Field(description="Its number.")
    source: str = Field(description="The source under which its trades were recorded.")
    file_name: str = Field(description="What it is called.")
    content_hash: str | None = Field(description="SHA-256 of the file; null for what was none.")
    layout: dict[str, Any] = Field(description="How it was read.")
    author: str = Field(description="Who took it in: the name of a token, or what was said on the command line.")
    rows_read: int = Field(description="Rows of it.")
    inserted: int = Field(description="New trades.")
    updated: int = Field(description="Trades that moved on.")
    replaced: int = Field(description="Trades that it corrected.")
    unchanged: int = Field(description="Rows that changed nothing.")
    quarantined: int = Field(description="Rows that were refused.")
    held: int = Field(description="Of these those that are held still.")
    notes: list[str] = Field(description="How it was read, and what to know of it.")
    imported_at: datetime = Field(description="When it was taken in.")
    undone_at: datetime | None = Field(description="When it was undone; null while it counts.")
    undone_by: str | None = Field(description="Who undid it; null while it counts.")


class Imports(Page):
    """Imports, the latest first."""

    data: list[Import] = Field(description="The imports.")


class Undone(BaseModel):
    """What became of the trades of an import that was undone."""

    import_id: int = Field(description="Its number.")
    removed: int = Field(description="Trades that went.")
    restored: int = Field(description="Trades that are again what was said of them before.")
    kept: int = Field(description="Trades that stay, as another import has them too.")
    heirs: dict[int, int] = Field(description="How many of these are now of which import.")
    discarded: int = Field(description="Held rows that were discarded with it.")
    released: int = Field(description="Held rows that could be recorded now that its trades are gone.")
    refused: int = Field(description="Rows that had been recorded and are held now that its trades are gone.")


class QuarantinedRow(BaseModel):
    """One refused row."""

    quarantine_id: int = Field(description="Its number.")
    source: str = Field(description="The source that it came from.")
    file_name: str = Field(description="The file.")
    row_number: int = Field(description="Which row of the file, from 1.")
    reason: str = Field(description=f"Why it was refused: of trades one of {', '.join(Reason)}.")
    column_name: str | None = Field(description="The column to blame; null where it is the row as a whole.")
    message: str = Field(description="What is wrong, and the remedy.")
    original: dict[str, str | None] = Field(description="The row as it came, by column.")
    layout: dict[str, Any] = Field(description="How the file was read.")
    status: str = Field(description="held, released or discarded.")
    note: str | None = Field(description="How it was settled; null while it is held.")
    quarantined_at: datetime = Field(description="When it was refused.")
    settled_at: datetime | None = Field(description="When it was settled; null while it is held.")
    simulated: bool = Field(description="Whether it is the simulated fleet's.")
    import_id: int | None = Field(description="The import that it belongs to.")


class QuarantinedRows(Page):
    """Refused rows in the order in which they were refused."""

    data: list[QuarantinedRow] = Field(description="The rows.")


class Corrections(BaseModel):
    """What to change in a row before it is read again."""

    corrections: dict[str, str] = Field({}, description="Column of the file, or field, and its new text.")


class Released(BaseModel):
    """What became of a row that was released."""

    inserted: int = Field(description="New trades.")
    updated: int = Field(description="Trades that moved on.")
    unchanged: int = Field(description="1 where the trade was recorded just so.")


class Discard(BaseModel):
    """Why a row is not wanted."""

    note: str | None = Field(None, description="Why; it stays on record.", max_length=1000)


class Discarded(BaseModel):
    """A row that is settled."""

    quarantine_id: int = Field(description="Its number.")
    status: str = Field(description="discarded.")


@router.get("/imports", response_model=Imports)
def imports(request: Request, site: Shared, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """What was taken in, the latest first."""

    def read(connection: psycopg.Connection) -> Answer:
        found = store.imports(connection, limit + 1, _after(cursor))
        following = next_address(request, [found[limit - 1].import_id] if len(found) > limit else None)
        return as_json({"next": following, "data": [asdict(row) for row in found[:limit]]}, links(following))

    return site.answer(request, read, results=False)


@router.get("/imports/{import_id}", response_model=Import)
def one_import(request: Request, site: Shared, import_id: Number) -> Response:
    """One import."""
    return site.answer(
        request, lambda connection: as_json(asdict(there(store.find_import, connection, import_id))), results=False
    )


@router.delete(
    "/imports/{import_id}", response_model=Undone, dependencies=[Depends(requires("admin")), Depends(a_place)]
)
def undo(site: Shared, author: Annotated[str, Depends(requires("admin"))], import_id: Number) -> Response:
    """Take an import back: its trades go, and what it had moved on or replaced is what it was before. Needs the scope
    admin."""
    with site.connection() as connection:
        there(store.find_import, connection, import_id)
    return _json(site.intake.ask("undo", import_id=import_id, author=author))


@router.get("/quarantine", response_model=QuarantinedRows)
def quarantined(
    request: Request,
    site: Shared,
    status: Annotated[Literal["held", "released", "discarded", "any"], Query(description="Which rows.")] = "held",
    reason: Annotated[str | None, Query(description="Only rows that were refused for it.", max_length=100)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The refused rows, in the order in which they were refused."""

    def read(connection: psycopg.Connection) -> Answer:
        chosen = None if status == "any" else status
        found = held.quarantined(connection, chosen, limit + 1, reason=reason, after=_after(cursor) or 0)
        following = next_address(request, [found[limit - 1].quarantine_id] if len(found) > limit else None)
        return as_json({"next": following, "data": [asdict(row) for row in found[:limit]]}, links(following))

    return site.answer(request, read, results=False)


@router.get("/quarantine/{quarantine_id}", response_model=QuarantinedRow)
def one_row(request: Request, site: Shared, quarantine_id: Number) -> Response:
    """One refused row."""
    return site.answer(
        request,
        lambda connection: as_json(asdict(there(held.find_row, connection, quarantine_id))),
        results=False,
    )


@router.post(
    "/quarantine/{quarantine_id}/release",
    response_model=Released,
    dependencies=[Depends(requires("ingest")), Depends(a_place), Depends(takes("application/json"))],
)
def release(site: Shared, quarantine_id: Number, corrections: Corrections) -> Response:
    """Correct a held row and record it: read as its file was read. Needs the scope ingest.

    A row that is refused again stays held as it was (409, which says why).
    """
    with site.connection() as connection:
        there(held.find_row, connection, quarantine_id)
    return _json(site.intake.ask("release", quarantine_id=quarantine_id, corrections=corrections.corrections))


@router.post(
    "/quarantine/{quarantine_id}/discard",
    response_model=Discarded,
    dependencies=[Depends(requires("admin")), Depends(a_place), Depends(takes("application/json"))],
)
def discard(site: Shared, quarantine_id: Number, why: Discard) -> Response:
    """Settle a held row as not wanted; it stays on record. Needs the scope admin."""
    with site.connection() as connection:
        there(held.find_row, connection, quarantine_id)
    site.intake.ask("discard", quarantine_id=quarantine_id, note=why.note)
    return _json({"quarantine_id": quarantine_id, "status": "discarded"})


def _json(value: Any) -> Response:
    return Response(as_json(value).body, media_type="application/json")


def there(find: Callable[[psycopg.Connection, int], Kind], connection: psycopg.Connection, number: int) -> Kind:
    """What has that number. Raises Problem: 404 for none."""
    try:
        return find(connection, number)
    except (store.UndoError, held.QuarantineError) as error:
        raise Problem(HTTPStatus.NOT_FOUND, str(error)) from error


def _after(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    place: int = read_cursor(cursor, number)[0]
    return place
