"""Forms of our pages, as browsers send them without a script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from knowdefeat_pipeline.store.tokens import Scope
from knowdefeat_pipeline.web.access import requires
from knowdefeat_pipeline.web.problems import Problem

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 100_000


@contextmanager
def first_of_all(refused: Problem | None) -> Iterator[None]:
    """Of who may not send the form it is told, before whatever is wrong in it. `refused`: that he may not."""
    try:
        yield
    except Problem as problem:
        raise (refused or problem) from None


def may_not(request: Request, scope: Scope) -> tuple[str, Problem | None]:
    """The name of the token that may do that much; else why nobody may."""
    try:
        return requires(scope)(request), None
    except Problem as problem:
        return "", problem


async def _read(request: Request) -> list[tuple[str, str]]:
    """The fields in their order. Raises Problem."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A form is sent as {FORM}.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form has at most {MOST_BYTES:,} bytes.")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is no text of UTF-8.") from None


Fields = Annotated[list[tuple[str, str]], Depends(_read)]
"""The fields of a form in their order, as a parameter of a route of which one may be there more than once."""


def _by_name(fields: Fields) -> dict[str, str]:
    return dict(fields)


Form = Annotated[dict[str, str], Depends(_by_name)]
"""The fields of a form by name, as a parameter of a route; of one that is there twice the last."""
