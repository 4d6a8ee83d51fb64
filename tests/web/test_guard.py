"""Who the guard lets in: its own pages and programs, and nobody that another page sends."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from knowdefeat_pipeline.web.guard import guarded

OWN = "127.0.0.1:3000"
JSON = ("content-type", "application/json")
Headers = Sequence[tuple[str, str]]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """An app that says yes to everything."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": b"done"})


def ask(method: str = "GET", path: str = "/", headers: Headers = (), query: str = "", host: str | None = OWN,
        kind: str = "http", hosts: Sequence[str] = (), scheme: str = "http") -> list[dict[str, Any]]:  # fmt: skip
    """The messages with which a request is answered."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    given = [*((("host", host),) if host is not None else ()), *headers]
    scope = {
        "type": kind, "scheme": scheme, "path": path, "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
    } | ({"method": method} if kind == "http" else {})  # fmt: skip
    asyncio.run(guarded(answer, hosts)(scope, receive, send))  # type: ignore[arg-type]
    return sent


def status(*arguments: Any, **options: Any) -> int:
    return int(ask(*arguments, **options)[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.1"])
def test_loopback_names_are_let_in(host: str) -> None:
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.evil.example:3000", "", None,
             "[::1", "127.0.0.1@evil.example", "2130706433", "0.0.0.0:3000"]
)  # fmt: skip
def test_a_name_that_points_here_is_no_name_of_ours(host: str | None) -> None:
    assert status(host=host) == 403


def test_names_that_the_user_allows_are_let_in() -> None:
    assert status(host="bots.example:443", hosts=["Bots.example"]) == 200
    assert status(host="bots.example:443", hosts=["other.example"]) == 403


@pytest.mark.parametrize("origin", [f"http://{OWN}", f"HTTP://{OWN}"])
def test_a_page_of_ours_may_write(origin: str) -> None:
    own = [("origin", origin), ("sec-fetch-site", "same-origin"), JSON]
    assert status("POST", "/graphql", own) == 200
    assert status("POST", "/report_asset_materialization/bot_metrics", own) == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:3000", "", "file://", "http://[::1",
               f"http://{OWN}.evil.example", f"http://evil.example/{OWN}", f"http://{OWN}, http://evil.example"]
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(method: str, origin: str) -> None:
    assert status(method, "/", [("origin", origin), JSON]) == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost:3000", "http://localhost:8000"), ("localhost:3000", "http://localhost"), ("localhost", "http://localhost:3000"),
     ("[::1]:3000", "http://[::1]:8000"), ("localhost:3000", "https://localhost:3000"), ("localhost", "http://localhost:8080")]
)  # fmt: skip
def test_another_port_or_scheme_of_this_machine_is_another_site(host: str, origin: str) -> None:
    """Where any other program of the machine, or of another user, may serve pages."""
    assert status("POST", "/graphql", [("origin", origin), JSON], host=host) == 403
    assert ask(path="/graphql", kind="websocket", headers=[("origin", origin)], host=host, scheme="ws")[0]["type"] == (
        "websocket.close"
    )


def test_a_tunnel_may_end_at_another_port() -> None:
    """ssh -L 8080:localhost:3000: the browser knows the tunnel's port alone."""
    assert status("POST", "/graphql", [("origin", "http://localhost:8080"), JSON], host="localhost:8080") == 200


@pytest.mark.parametrize("host", ["bots.example", "bots.example:443"])
@pytest.mark.parametrize("scheme", ["http", "https"])  # as a proxy forwards it, or does not
def test_a_further_name_is_one_over_tls(host: str, scheme: str) -> None:
    def answered(origin: str) -> int:
        return status("POST", "/graphql", [("origin", origin), JSON], host=host, hosts=["bots.example"], scheme=scheme)

    assert answered("https://bots.example") == 200
    assert answered("http://bots.example") == 403  # whoever is on the way of plain HTTP can serve such a page
    assert answered("https://bots.example:8443") == 403
    opened = ask(
        path="/graphql", kind="websocket", host=host, hosts=["bots.example"], scheme="ws",
        headers=[("origin", "https://bots.example")],
    )  # fmt: skip
    assert opened[0]["type"] == "websocket.accept"


def test_a_proxy_of_the_machine_may_speak_tls_under_a_loopback_name() -> None:
    own = [("origin", "https://localhost:8443"), JSON]
    assert status("POST", "/graphql", own, host="localhost:8443", scheme="https") == 200
    assert status("POST", "/graphql", own, host="localhost:8443", scheme="http") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "destination"), [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("no-cors", "script")]
)
def test_what_another_site_embeds_or_fetches_is_refused(site: str, mode: str, destination: str) -> None:
    headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)]
    assert status("GET", "/runs", headers) == 403


def test_a_link_on_another_site_may_lead_here_but_executes_nothing() -> None:
    link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
    assert status("GET", "/assets/bot_rankings", link) == 200
    assert status("GET", "/graphql", link, query="query=mutation{wipeAssets}") == 403
    assert status("POST", "/runs", link) == 403


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/graphql\n", "/graphql\r\n"])
@pytest.mark.parametrize("query", ["query=mutation%7Bx%7D", "query=", "a=b&query=%7Bversion%7D", "query"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nothing_is_executed_by_get(method: str, path: str, query: str) -> None:
    assert status(method, path, query=query) == 403


def test_the_page_that_explores_graphql_is_shown() -> None:
    assert status("GET", "/graphql") == 200


@pytest.mark.parametrize(
    "content",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", ""],
)
def test_graphql_takes_no_form(content: str) -> None:
    assert status("POST", "/graphql", [("content-type", content)]) == 403
    assert status("POST", "/graphql") == 403
    assert status("POST", "/graphql", [("content-type", "Application/JSON; charset=utf-8")]) == 200


def test_websockets_are_checked_the_same_way() -> None:
    def opened(**options: Any) -> str:
        return str(ask(path="/graphql", kind="websocket", **options)[0]["type"])

    assert opened(headers=[("origin", f"http://{OWN}"), ("sec-fetch-site", "same-origin")]) == "websocket.accept"
    assert opened() == "websocket.accept"  # a program
    assert opened(headers=[("origin", "http://evil.example")]) == "websocket.close"
    assert (
        opened(
            headers=[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
        )
        == "websocket.close"
    )
    assert opened(host="evil.example") == "websocket.close"


def test_a_header_that_is_there_twice_is_none_of_ours() -> None:
    assert status(headers=[("host", "evil.example")]) == 403
    assert status(headers=[("origin", f"http://{OWN}"), ("origin", "http://evil.example")]) == 403


def test_who_is_refused_hears_why_and_so_does_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "knowdefeat.guard"):
        start, body = ask(path="/a\nb", host="evil\x1b[31m.example")
    assert start["status"] == 403
    assert b"--allow-host" in body["body"]
    (record,) = caplog.records
    assert record.getMessage().startswith("Refused GET /a�b: the host 'evil�[31m.example' is not one of this server")
    assert "\x1b" not in record.getMessage()


def test_pages_fetch_nothing_from_elsewhere_and_stand_in_no_frame() -> None:
    for headers in (ask()[0]["headers"], ask(host="evil.example")[0]["headers"]):
        policy = dict(headers)[b"content-security-policy"]
        assert b"img-src 'self' data: blob:" in policy
        assert b"frame-ancestors 'none'" in policy
    assert (b"x-app", b"yes") in ask()[0]["headers"]
