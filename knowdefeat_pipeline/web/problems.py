"""What goes wrong, told as Problem Details (RFC 9457) to programs and as a page to people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable
from knowdefeat_pipeline.postgres.remedies import remedy_of
from knowdefeat_pipeline.store.bots import BotError
from knowdefeat_pipeline.web.answers import as_json

PROBLEM = "application/problem+json"
ENVELOPED = "/api/learning/"  # Scanstream's endpoints, whose clients know their own form of errors alone
RETRY_AFTER = "5"  # seconds after which to ask again a database that was away

HALF = "A text holds half of a character (a lone surrogate, such as \\ud800), which no name and no reason has"
FAULT = "This could not be answered, by a fault of this program, of which the log of the pages tells."

logger = logging.getLogger("knowdefeat.web")


class Problem(KnowDefeatError):
    """A request that cannot be answered, with the status that says how."""

    page = "api.md#api"

    def __init__(
        self, status: HTTPStatus | int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.headers, self.more = HTTPStatus(status), dict(headers or {}), more


def install(app: FastAPI, page: Callable[[int, str, str | None], str]) -> None:
    """Let the app answer with problems; `page` makes of a status, a text and the seconds after which it is asked for
    again (None: it is not, as it would not help, or as it would do something twice) what a browser shows."""

    def told(request: Request, problem: Problem) -> Response:
        status, text = problem.status, str(problem)
        if not request.url.path.startswith("/api/"):
            is_away = status == HTTPStatus.SERVICE_UNAVAILABLE and request.method in ("GET", "HEAD")
            shown = page(status, text, RETRY_AFTER if is_away else None)
            return Response(shown, status, problem.headers, media_type="text/html")
        if request.url.path.startswith(ENVELOPED):
            body = as_json({"success": False, "error": text} | problem.more).body
            return Response(body, status, problem.headers, media_type="application/json")
        details = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": text}
        body = as_json(details | {"instance": request.url.path} | problem.more).body
        return Response(body, status, problem.headers, media_type=PROBLEM)

    def on(kind: type[Exception], make: Callable[[Any], Problem]) -> None:
        app.add_exception_handler(kind, lambda request, error: told(request, make(error)))

    on(Problem, lambda error: error)
    on(HTTPException, lambda error: Problem(HTTPStatus(error.status_code), str(error.detail), error.headers))
    on(RequestValidationError, _invalid)
    on(ClientDisconnect, lambda error: Problem(HTTPStatus.BAD_REQUEST, "The body was cut short; nothing was recorded"))
    on(BotError, lambda error: Problem(HTTPStatus.NOT_FOUND, str(error)))
    on(KnowDefeatError, lambda error: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)))
    on(psycopg.DataError, _unwritable)
    on(UnicodeEncodeError, lambda error: Problem(HTTPStatus.UNPROCESSABLE_ENTITY, HALF))
    # After it is told, the server logs it, with its traceback.
    on(Exception, lambda error: Problem(HTTPStatus.INTERNAL_SERVER_ERROR, FAULT))
    for kind in (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, DatabaseUnreachable):
        on(kind, _away)


def _invalid(error: RequestValidationError) -> Problem:
    faults = [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
    text = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, errors=faults)


def _unwritable(error: psycopg.DataError) -> Problem:
    """A text that no database holds, which the driver refuses; what the server refuses would be a fault of ours."""
    if error.sqlstate is not None:
        raise error
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "A text holds a NUL character, which no name and no reason has")


def _away(error: Exception) -> Problem:
    logger.warning("The database did not answer: %s", str(error).strip())
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, told_of_database(error), {"Retry-After": RETRY_AFTER})


def told_of_database(error: Exception) -> str:
    """What is said of a database that does not do what it is asked: what ails it, where that is known."""
    advice = remedy_of(error)
    if advice:
        return advice.replace("run the command again", "send it again")
    return "The database cannot be reached. See: knowdefeat db status"
