"""Who asks, and what he may: a token, in a header for programs, in a cookie for a browser that logged in. A program
that sets no headers, as a webhook, has it as the password of its address.

A browser logs in once, by an address that `knowdefeat up` prints, which counts once. It gets a token of its own, that
is listed and revoked as any other.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from knowdefeat_pipeline.store.tokens import SCOPES, Holder, Scope, holder_of, take_login
from knowdefeat_pipeline.web.guard import LOOPBACK, PORTS
from knowdefeat_pipeline.web.problems import Problem
from knowdefeat_pipeline.web.site import Site

LASTS = timedelta(days=30)  # how long a browser stays logged in
COOKIE = "knowdefeat"
NEEDED = (
    "This needs a token: Authorization: Bearer TOKEN. A browser is let in by the address that knowdefeat up prints."
)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="knowdefeat"'}


def log_in(request: Request, site: Site, code: str) -> Response:
    """Let a browser in, and lead it on to an address without the code. Raises Problem."""
    with site.connection() as connection:
        token = take_login(connection, code, LASTS)
    if token is None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This address was used already, is older than an hour, or another one. A new one: knowdefeat token login",
        )
    answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    answer.set_cookie(
        cookie_name(request),
        token,
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=_over_tls(request),
        path="/",
    )
    return answer


def cookie_name(request: Request) -> str:
    """What the browser's token is called: over TLS with the prefix that lets nobody but this host set it, else with the
    port, as a browser sends the cookies of a host to all its ports and two programs would overwrite each other's."""
    return f"__Host-{COOKIE}" if _over_tls(request) else f"{COOKIE}-{request.url.port or PORTS['http']}"


def _over_tls(request: Request) -> bool:
    """Whether a browser came here over TLS: a further name than loopback's is that of a proxy that speaks it."""
    return request.url.hostname not in LOOPBACK or request.url.scheme == "https"


@cache  # so that a route that names it twice asks once
def requires(scope: Scope) -> Callable[[Request], str]:
    """A dependency of a route: lets on who may do that much; the name of the token. Raises Problem: 401 for a token
    that does not count or is missing, 403 for one that lets do less."""

    def check(request: Request) -> str:
        holder = _holder(request)
        if holder is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, NEEDED, CHALLENGE)
        if not _reaches(holder, scope):
            raise Problem(HTTPStatus.FORBIDDEN, f"This needs a token of the scope {scope}; yours is {holder.scope}.")
        return holder.name

    return check


Decider = Annotated[str, Depends(requires("admin"))]
"""Who decides, as a parameter of a route that takes no others: the name of a token of the scope admin."""


def may(request: Request, scope: Scope) -> bool:
    """Whether whoever asks may do that much; what a page offers follows it."""
    try:
        holder = _holder(request)
    except Problem:  # a browser whose token does not count any more reads on
        return False
    return holder is not None and _reaches(holder, scope)


def _reaches(holder: Holder, scope: Scope) -> bool:
    return SCOPES.index(holder.scope) >= SCOPES.index(scope)


def refuses_bad_tokens(request: Request) -> None:
    """A dependency of open routes: a token is not needed, but one that is given has to count."""
    if "authorization" in request.headers:
        _holder(request)


def _password(login: str) -> str:
    """The password of a login as HTTP writes it, empty for one that is none.

    >>> _password("YW55OnRva2Vu"), _password("none")
    ('token', '')
    """
    try:
        return base64.b64decode(login.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _holder(request: Request) -> Holder | None:
    """Whose the request's token is, None without any."""
    given = request.headers.get("authorization")
    if given is None:
        token = request.cookies.get(cookie_name(request))
    else:
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "basic":  # of who can say it in an address alone: http://any:TOKEN@host
            token = _password(token)
        if scheme.lower() not in ("bearer", "basic") or not token.strip():
            raise Problem(HTTPStatus.UNAUTHORIZED, "Write it as: Authorization: Bearer TOKEN", CHALLENGE)
    if not token:
        return None
    site: Site = request.app.state.site
    with site.connection() as connection:
        holder = holder_of(connection, token.strip())
    if holder is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "This token does not count: it is unknown, revoked or has expired. See: knowdefeat token",
            CHALLENGE,
        )
    return holder
