"""Who may do what: tokens, the login of a browser, and the guard around all of it."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from fastapi import Request

from knowdefeat_pipeline.postgres import roles
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords, SecretFiles
from knowdefeat_pipeline.store import tokens
from knowdefeat_pipeline.store.tokens import (
    TokenError,
    ensure_first,
    hash_of,
    new_token,
    offer_login,
    revoke,
    scope_of,
    take_login,
)
from knowdefeat_pipeline.web.access import cookie_name
from tests.web.conftest import CODE, Web, role_url, served

CHANGE = {"is_active": False, "reason": "looks lucky"}
PATH = "/api/v1/bots/1"


TOKENS_MADE = (
    f"INSERT INTO api_tokens (name, scope, hash) VALUES ('mine', 'admin', '{hash_of('mine')}')",
    f"INSERT INTO login_codes (hash) VALUES ('{hash_of(hash_of('mine'))}')",
)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def is_active(web: Web) -> bool:
    return web.rows("SELECT is_active FROM bots WHERE bot_id = 1")[0][0]


def test_a_write_needs_a_token_that_lets_do_it(own_web: Web) -> None:
    web = own_web
    with connect(web.url) as connection:
        made = {scope: new_token(connection, scope, scope) for scope in tokens.SCOPES}
        expired = new_token(connection, "expired", "admin", timedelta(seconds=-1))
        revoked = new_token(connection, "revoked", "admin")
        revoke(connection, "revoked")

    def write(headers: dict[str, str]) -> int:
        answer = web.client.patch(PATH, json=CHANGE, headers=headers)
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code

    for bad in ({}, bearer("kd_nonsense"), bearer(expired), bearer(revoked), {"authorization": "Bearer"},
                {"authorization": f"Basic {made['admin']}"}, bearer(f"{made['admin']}x")):  # fmt: skip
        assert write(bad) == 401
    assert (write(bearer(made["read"])), write(bearer(made["ingest"]))) == (403, 403)
    assert is_active(web)
    assert write(bearer(made["admin"])) == 200
    assert not is_active(web)
    ((kind, author, reason),) = web.rows("SELECT kind, author, reason FROM bot_events WHERE bot_id = 1")
    assert (kind, author, reason) == ("deactivated", "admin", "looks lucky")  # by the token's name
    assert web.client.patch(PATH, json=CHANGE, headers=bearer(made["admin"])).json()["changed"] is False
    posing = web.client.patch(PATH, json=CHANGE | {"author": "the owner"}, headers=bearer(made["admin"]))
    assert (posing.status_code, posing.json()["errors"][0]["field"]) == (422, "body.author")


def test_a_bad_token_is_refused_where_none_is_needed(web: Web) -> None:
    assert web.client.get("/api/v1/bots", headers=bearer("kd_nonsense")).status_code == 401
    assert web.client.get("/api/v1/bots").status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"is_active": True}, {"is_active": True, "reason": "  "}, {"is_active": "perhaps", "reason": "x"}, [1]]
)
def test_a_decision_without_a_reason_is_refused(own_web: Web, body: object) -> None:
    with connect(own_web.url) as connection:
        token = new_token(connection, "admin", "admin")
    answer = own_web.client.patch(PATH, json=body, headers=bearer(token))
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_browser_is_let_in_once_and_may_write_until_its_token_is_revoked(own_web: Web) -> None:
    web = own_web
    assert web.client.get("/login?code=another").status_code == 403
    answer = web.client.get(f"/login?code={CODE}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie  # a loopback name needs no TLS
    assert cookie.startswith("knowdefeat-3000=")  # a browser sends the cookies of a host to all its ports
    token = cookie.partition("=")[2].partition(";")[0]
    elsewhere = {"host": "127.0.0.1:8000", "cookie": f"knowdefeat-3000={token}"}
    assert web.client.patch(PATH, json=CHANGE, headers=elsewhere).status_code == 401
    assert web.client.get(f"/login?code={CODE}").status_code == 403
    own = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}
    assert web.client.patch(PATH, json=CHANGE, headers=own).status_code == 200
    ((name,),) = web.rows("SELECT name FROM api_tokens")
    assert name.startswith("browser ")
    with connect(web.url) as connection:
        revoke(connection, name)
    assert web.client.patch(PATH, json=CHANGE, headers=own).status_code == 401
    assert web.client.get("/api/v1/bots").status_code == 200  # reading is open


@pytest.mark.parametrize("role", ["web", "pipeline"])
def test_of_what_is_kept_of_a_login_nobody_makes_a_token(own_web: Web, tmp_path: Path, role: str) -> None:
    with connect(roles.rotate(own_web.url, f"knowdefeat_{role}", Passwords(tmp_path))) as connection:
        ((kept,),) = connection.execute("SELECT hash FROM login_codes").fetchall()
        assert kept == hash_of(hash_of(CODE))
        for code in (kept, "another", "a\x00b", "\udc80"):
            assert take_login(connection, code, timedelta(days=1)) is None
        assert connection.execute(
            "SELECT log_browser_in(%s, 'mine', %s, '1 day')", (kept, hash_of("mine"))
        ).fetchone() == (False,)
        token = take_login(connection, CODE, timedelta(days=1))
        assert token is not None
        assert (scope_of(connection, token), take_login(connection, CODE, timedelta(days=1))) == ("admin", None)


def test_a_login_counts_for_an_hour(own_web: Web) -> None:
    with connect(own_web.url) as connection:
        connection.execute("UPDATE login_codes SET made_at = now() - interval '61 minutes'")
    assert "older than an hour" in own_web.get(f"/login?code={CODE}", 403).text
    assert own_web.rows("SELECT count(*) FROM api_tokens WHERE name LIKE 'browser%%'") == [(0,)]


def test_a_login_that_is_offered_ends_the_one_before(own_web: Web) -> None:
    with connect(own_web.url) as connection:
        offer_login(connection, "the next")
    assert own_web.client.get(f"/login?code={CODE}").status_code == 403
    assert own_web.client.get("/login?code=the next").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:8000"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_another_site_is_refused_even_with_the_browser_s_cookie(own_web: Web, headers: dict[str, str]) -> None:
    own_web.client.get(f"/login?code={CODE}")
    for method, path in (
        ("PATCH", PATH), ("GET", "/api/v1/rankings"), ("GET", "/"), ("GET", "/api/v1/events"), ("PUT", "/api/v1/weights"),
        ("POST", "/weights"), ("POST", "/weights/learner"), ("POST", "/learning/reset"), ("POST", "/learning/withdraw"),
        ("POST", "/api/learning/trade-outcome"), ("POST", "/api/learning/reset"), ("PATCH", "/api/v1/weights/learner"),
    ):  # fmt: skip
        assert own_web.client.request(method, path, json=CHANGE, headers=headers).status_code == 403
    assert is_active(own_web)


def test_pages_run_no_script_but_our_own(web: Web) -> None:
    policies = web.get("/ranking").headers.get_list("content-security-policy")
    assert any("default-src 'self'" in policy and "unsafe" not in policy for policy in policies)


def test_the_role_of_the_pages_suffices_and_can_do_no_more(own_web: Web, tmp_path: Path) -> None:
    url = role_url(own_web.url, Passwords(tmp_path))
    with connect(own_web.url) as connection:
        token = new_token(connection, "admin", "admin")
    with served(own_web.url, url) as web:
        for path in (
            "/",
            "/ranking",
            "/bots/1",
            "/compare",
            "/weights",
            "/learning",
            "/docs",
            "/api/learning/metrics",
            "/api/v1/status",
            "/api/v1/bots/1/equity",
            "/api/v1/trades",
        ):
            web.get(path)
        assert web.client.patch(PATH, json=CHANGE, headers=bearer(token)).status_code == 200
        assert web.client.get(f"/login?code={CODE}").status_code == 303
    with connect(url) as connection:
        for statement in ("DELETE FROM bots", "UPDATE api_tokens SET revoked_at = NULL", *TOKENS_MADE, "DELETE FROM trades", "UPDATE refreshed_days SET day = day",
                          "DELETE FROM bot_days_rows", "CREATE TABLE t ()"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_first_token_is_kept_for_its_owner_alone_and_made_anew_once_it_does_not_count(
    database: str, tmp_path: Path
) -> None:
    kept = SecretFiles(tmp_path / "tokens")
    with connect(database) as connection:
        token = ensure_first(connection, kept)
        assert ensure_first(connection, kept) == token
        file = tmp_path / "tokens" / tokens.FIRST
        assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, f"{token}\n")
        assert scope_of(connection, token) == "admin"
        assert connection.execute("SELECT hash FROM api_tokens").fetchall() == [(hash_of(token),)]
        elsewhere = Passwords(tmp_path / "another" / "home")
        with pytest.raises(TokenError, match=r"made from another home.*knowdefeat token revoke first"):
            ensure_first(connection, elsewhere)
        assert (scope_of(connection, token), elsewhere.of(tokens.FIRST)) == ("admin", None)
        revoke(connection, tokens.FIRST)
        assert scope_of(connection, token) is None
        another = ensure_first(connection, kept)
        assert another != token
        assert [(row["name"], row["state"]) for row in tokens.tokens(connection)] == [
            ("first", "revoked"),
            ("first", "counts"),
        ]
        assert len(another) == len("kd_") + 43  # 32 random bytes
        with pytest.raises(TokenError, match="There is a token first already"):
            new_token(connection, tokens.FIRST, "read")
        with pytest.raises(TokenError, match="no plain name"):
            new_token(connection, "a\nb", "read")
        with pytest.raises(TokenError, match="There is no token nobody that counts"):
            revoke(connection, "nobody")


def test_a_halted_bot_is_resumed_once(own_web: Web) -> None:
    web = own_web
    with connect(web.url) as connection:
        admin = bearer(new_token(connection, "admin", "admin"))
        reader = bearer(new_token(connection, "reader", "read"))
        connection.execute(
            "INSERT INTO bot_events (bot_id, kind, author, reason) VALUES (5, 'halted', 'rules', 'drawdown')"
        )
    path, reason = "/api/v1/bots/5/resume", {"reason": "it was the exchange"}
    assert web.client.post(path, json=reason).status_code == 401
    assert web.client.post(path, json=reason, headers=reader).status_code == 403
    assert web.client.post(path, json={"reason": " "}, headers=admin).status_code == 422
    assert web.client.post("/api/v1/bots/nobody/resume", json=reason, headers=admin).status_code == 404
    assert web.rows("SELECT count(*) FROM bot_events WHERE kind = 'resumed'") == [(0,)]
    answer = web.client.post(path, json=reason, headers=admin)
    assert (answer.status_code, answer.json()) == (200, {"bot": "5", "halted": False})
    again = web.client.post(path, json=reason, headers=admin)
    assert (again.status_code, again.json()["detail"]) == (409, "Bot 5 is not halted. See: knowdefeat bots")
    assert web.rows("SELECT bot_id, author, reason FROM bot_events WHERE kind = 'resumed'") == [
        (5, "admin", "it was the exchange")
    ]


@pytest.mark.parametrize(
    ("scheme", "host", "name"),
    [
        ("http", "127.0.0.1:3000", "knowdefeat-3000"),
        ("http", "localhost", "knowdefeat-80"),
        ("http", "[::1]:3001", "knowdefeat-3001"),
        ("https", "localhost:8443", "__Host-knowdefeat"),
        ("http", "bots.example", "__Host-knowdefeat"),  # a proxy speaks TLS there
    ],
)
def test_a_cookie_is_called_by_its_port_or_is_this_host_s_alone(scheme: str, host: str, name: str) -> None:
    about = {"type": "http", "scheme": scheme, "path": "/", "query_string": b"", "headers": [(b"host", host.encode())]}
    assert cookie_name(Request(about)) == name
