"""Who asks, and what he may: a token, in a header for programs, in a cookie for a browser that logged in.

A browser logs in once, by an address that `knowdefeat up` prints, which counts once. It gets a token of its own, that
is listed and revoked as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from knowdefeat_pipeline.store.tokens import SCOPES, Scope, scope_of, take_login
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

COOKIE = "knowdefeat"
LASTS = timedelta(days=30)  # how long a browser stays logged in
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="knowdefeat"'}


def log_in(site: Site, code: str) -> Response:
    """Let a browser in, and lead it on to an address without the code. Raises Problem."""
    with site.connection() as connection:
        token = take_login(connection, code, LASTS)
    if token is None:
        raise Problem(
            HTTPStatus.FORBIDDEN, "This address was used already, or is another one. knowdefeat up prints a new one."
        )
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    answer.set_cookie(COOKIE, token, max_age=int(LASTS.total_seconds()), httponly=True, samesite="strict", path="/")
    return answer


def requires(scope: Scope) -> Callable[[Request], None]:
    """A dependency of a route: lets on who may do that much. Raises Problem: 401 for a token that does not count or is
    missing, 403 for one that lets do less."""

    def check(request: Request) -> None:
        granted = _granted(request)
        if granted is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "This needs a token: Authorization: Bearer TOKEN", CHALLENGE)
        if SCOPES.index(granted) < SCOPES.index(scope):
            raise Problem(HTTPStatus.FORBIDDEN, f"This needs a token of the scope {scope}; yours is {granted}.")

    return check


def refuses_bad_tokens(request: Request) -> None:
    """A dependency of open routes: a token is not needed, but one that is given has to count."""
    if "authorization" in request.headers:
        _granted(request)


def _granted(request: Request) -> Scope | None:
    """What the request's token lets do, None without any."""
    given = request.headers.get("authorization")
    if given is None:
        token = request.cookies.get(COOKIE)
    else:
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(HTTPStatus.UNAUTHORIZED, "Write it as: Authorization: Bearer TOKEN", CHALLENGE)
    if not token:
        return None
    site: Site = request.app.state.site
    with site.connection() as connection:
        scope = scope_of(connection, token.strip())
    if scope is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "This token does not count: it is unknown, revoked or has expired. See: knowdefeat token",
            CHALLENGE,
        )
    return scope
