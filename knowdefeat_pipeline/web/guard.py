"""The guard: lets nobody in but who opened this address itself.

A page of any site that a user visits can send requests to a server on the same machine, and by a name that it makes
point there (DNS rebinding) read the answers. What tells such requests from the user's own are headers that pages cannot
forge: Host, Origin and Sec-Fetch-*. Programs send no Origin; they are let in by Host alone.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Awaitable, Callable, Container, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from knowdefeat_pipeline.core.escaping import printable, shortened

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN = frozenset({"same-origin", "none"})
PORTS = {"http": 80, "https": 443}  # of an address that names none
_HOST = re.compile(r"(\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]+)?")
POLICY_VIOLATION = 1008  # of the websocket protocol

# Pictures of other servers would tell them that a page was looked at, and no other page may show ours in a frame.
HEADERS = (
    (
        b"content-security-policy",
        b"img-src 'self' data: blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'",
    ),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

logger = logging.getLogger("knowdefeat.guard")


def guarded(app: App, hosts: Iterable[str] = (), graphql: str = "/graphql") -> App:
    """The app, reachable under loopback names and `hosts` only, and by its own pages and programs only.

    `graphql`: the path at which the app executes GraphQL, which is open to POST of JSON alone: what a link, a picture
    or a form of another page can send changes nothing. Whoever is refused gets 403 (a websocket is closed), and the log
    a line.
    """
    allowed = LOOPBACK | {host.lower().strip("[]") for host in hosts}

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        reason = refusal(scope, allowed, graphql)
        if reason is None:
            await app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
            return
        logger.warning("Refused %s %s: %s", scope.get("method", "websocket"), _shown(scope["path"]), reason)
        await _refuse(scope, receive, send, reason)

    return guard


def refusal(scope: Scope, allowed: Container[str | None], graphql: str) -> str | None:
    """Why the request is refused, None where it is not."""
    headers = _headers(scope)
    host, origin = headers.get("host", ""), headers.get("origin")
    if _host_name(host) not in allowed:
        return f"the host {_shown(host)!r} is not one of this server; knowdefeat up --allow-host lets in further names"
    # A router may take what ends with a line break for the path without it.
    if any(unicodedata.category(character) == "Cc" for character in scope["path"]):
        return "the path has control characters"
    if origin is not None and not _is_own(origin, host, scope.get("scheme", "http")):
        return f"the origin {_shown(origin)!r} is another one"
    method = scope.get("method", "GET")
    site = headers.get("sec-fetch-site", "none")
    if site not in OWN and not (scope["type"] == "http" and method == "GET" and _navigates(headers)):
        return "another site asks"
    if scope["type"] == "http" and scope["path"].rstrip("/") == graphql:
        return _graphql_refusal(scope, method, headers)
    return None


def _graphql_refusal(scope: Scope, method: str, headers: dict[str, str]) -> str | None:
    if method in SAFE:
        executes = "query" in parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        return "GraphQL is executed by POST only" if executes else None
    content = headers.get("content-type", "").split(";")[0].strip().lower()
    return None if content == "application/json" else "GraphQL is taken as application/json only"


def _navigates(headers: dict[str, str]) -> bool:
    """Whether a user follows a link to a page of ours, as opposed to a page that embeds it or fetches from it."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by name. Of one that is there twice, both: they are no host and no origin then."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether a page of that origin is one of ours: the same scheme, name and port.

    A page of this name over plain HTTP may be anybody's who is on the way, so that it must not pass for the one over
    TLS. Under a loopback name the scheme is the request's (which a proxy may forward); a further name is that of a
    proxy that speaks TLS. The port need not be the one that we listen on: ssh -L has another, and no page can choose
    Host.
    """
    if _host_name(host) not in LOOPBACK:
        scheme = "https"
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    port = f":{PORTS.get(scheme)}"  # a browser leaves it out, a proxy may not
    return origin.lower().removesuffix(port) == f"{scheme}://{host.lower().removesuffix(port)}"


def _host_name(host: str) -> str | None:
    found = _HOST.fullmatch(host.lower())
    return (found["six"] or found["name"]) if found else None


def _shown(text: str) -> str:
    return shortened(printable(text))


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "refused"})
        return
    body = f"Refused: {reason}.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
