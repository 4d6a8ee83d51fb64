"""Forms of our pages, as browsers send them without a script."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from knowdefeat_pipeline.web.problems import Problem

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 100_000


async def _read(request: Request) -> dict[str, str]:
    """The fields by name; of one that is there twice the last. Raises Problem."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A form is sent as {FORM}.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form has at most {MOST_BYTES:,} bytes.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is no text of UTF-8.") from None


Form = Annotated[dict[str, str], Depends(_read)]
"""The fields of a form, as a parameter of a route."""
