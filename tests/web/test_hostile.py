"""What nobody sends in earnest is refused, with Problem Details; what has a strange name is reached all the same."""

import base64
import json
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import quote

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades
from knowdefeat_pipeline.web import parameters, problems
from knowdefeat_pipeline.web.answers import as_json
from knowdefeat_pipeline.web.parameters import bot_address, segment, spelled
from knowdefeat_pipeline.web.rankings import Asked
from tests.web.conftest import LAST, Web

NAMES = ("a/b", ".", "..", "a\u00a0b", "a,b", "~2F", "x/metrics", "a b?c#d%25", "-11")
JSON = {"content-type": "application/json"}
LONG = "9" * 5000


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def problem(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == answer.status_code
    assert told["detail"]
    return told


LISTS = (
    "/rankings",
    "/trades",
    "/bots/1/trades",
    "/bots/1/days",
    "/imports",
    "/quarantine",
    "/weights/versions",
    "/allocations",
    "/regimes/DOGE-USD/history",
)
CURSORS = (
    "[" * 1000 + "]" * 1000,
    "[" * 7_000,
    '["2025-01-01",1e999]',
    '["2025-01-01T00:00:00Z",1e999]',
    '["2025-01-01T00:00:00Z",99999999999999999999999]',
    '["0001-01-01T00:00:00+23:59",1]',
    '["9999-12-31T23:59:59-23:59",1]',
    "[1e999]",
    "[99999999999999999999999]",
    '["0001-01-01"]',
    '["9999-12-31T23:59:59-23:59"]',
    "[[1]]",
    "[null,null,null]",
    '["\\ud800"]',
    "{}",
    "[true]",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_of_another_place_is_refused(web: Web, path: str) -> None:
    for text in CURSORS:
        answer = web.client.get(f"/api/v1{path}", params={"cursor": packed(text)})
        assert problem(answer, 400)["detail"] == "cursor: take it from next or Link of an answer, as it is", text


@pytest.mark.parametrize("path", ["/ranking", "/funds"])
def test_a_page_refuses_a_cursor_of_another_place(web: Web, path: str) -> None:
    for text in CURSORS:
        answer = web.get(path, 400, params={"cursor": packed(text)})
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    [
        "/funds?day=0001-01-15",
        "/funds?day=0010-01-09&days=3660",
        "/ranking?day=1899-12-31",
        "/bots/1?day=2200-01-02",
        "/weights?day=9999-12-31",
        f"/weights?version={2**31}",
        f"/funds?based_on={LONG}",
    ],
)
def test_pages_of_days_and_versions_that_cannot_be_are_refused(web: Web, path: str) -> None:
    assert web.get(path, 422).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    ["/rankings", "/allocations", "/bots/1/metrics", "/strategies", "/weights/ranks", "/trades", "/bots/1/skill"],
)
def test_days_that_cannot_be_are_refused(web: Web, path: str) -> None:
    for day in ("0001-01-01", "1899-12-31", "2200-01-02", "9999-12-31"):
        assert "day" in problem(web.client.get(f"/api/v1{path}", params={"day": day}), 422)["detail"]


WEIGHTS = {"avg_win_rate": 60, "one_day_performance": 40}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/weights", {"weights": WEIGHTS, "normalise": True, "reason": "x"}),
        ("POST", "/weights/rollback", {"version": 1}),
        ("PUT", "/funds/USD", {"funds": 1, "reason": "x"}),
    ],
)
@pytest.mark.parametrize("tag", [LONG, str(2**31), str(2**63), "²"])
def test_a_version_that_cannot_be_is_not_the_latest(own_web: Web, method: str, path: str, body: Any, tag: str) -> None:
    headers = own_web.token("admin") | {"if-match": f'"{tag}"'.encode()}
    problem(own_web.client.request(method, f"/api/v1{path}", json=body, headers=headers), 412)  # type: ignore[arg-type]


@pytest.mark.parametrize("based_on", [LONG, "999999999999999999", "-1", ""])
def test_forms_of_a_version_that_cannot_be(own_web: Web, based_on: str) -> None:
    forms: dict[str, dict[str, str]] = {
        "/weights": {"based_on": based_on, "reason": "x", "avg_win_rate": "100"},
        "/funds": {"based_on": based_on, "reason": "x", "currency": "USD", "funds": "1"},
    }
    token = own_web.token("admin")
    for path, form in forms.items():
        assert own_web.client.post(path, data=form).status_code == 401
        answer = own_web.client.post(path, data=form, headers=token)
        assert answer.status_code == 422
        assert "based_on" in answer.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/weights", {"avg_win_rate": "much"}),
        ("/weights", {"avg_win_rate": "1e9", "based_on": "1"}),
        ("/funds", {"currency": "XXX", "funds": "much"}),
        ("/weights/learner", {"x": "y"}),
        ("/learning/reset", {"x": "y"}),
        ("/learning/withdraw", {"x": "y"}),
    ],
)
def test_who_may_not_is_told_so_first(own_web: Web, path: str, form: dict[str, str]) -> None:
    assert own_web.client.post(path, data=form).status_code == 401
    assert own_web.client.post(path, data=form, headers=own_web.token("ingest")).status_code == 403
    assert own_web.client.post(path, data=form, headers=own_web.token("admin")).status_code in (404, 422)


HALVES = [
    ("POST", "/weights/preview", '{"weights": {"\\ud800": 1}}'),
    ("POST", "/allocations/preview", '{"currency": "\\ud800"}'),
    ("PATCH", "/bots/1", '{"is_active": false, "reason": "\\ud800"}'),
    ("PUT", "/weights", '{"weights": {"avg_win_rate": 100}, "normalise": true, "reason": "\\ud800"}'),
    ("PUT", "/funds/USD", '{"funds": 1, "reason": "\\ud800"}'),
    ("POST", "/consensus", '{"signals": [{"strategy_id": "\\ud800", "direction": "LONG", "confidence": 1}]}'),
    ("POST", "/sizes", '{"strategy_id": "\\ud800", "base": 1, "confidence": 1}'),
    ("POST", "/strategies/reset", '{"reason": "\\ud800"}'),
    ("POST", "/quarantine/1/release", '{"corrections": {"direction": "\\ud800"}}'),
    ("POST", "/quarantine/1/discard", '{"note": "\\ud800"}'),
    ("POST", "/trades/bulk", '[{"id": "\\ud800", "bot": "x"}]'),
]


@pytest.mark.long
@pytest.mark.parametrize(("method", "path", "body"), HALVES)
def test_half_a_character_is_refused(own_web: Web, method: str, path: str, body: str) -> None:
    headers = own_web.token("admin") | JSON | {"if-match": '"1"'}
    problem(own_web.client.request(method, f"/api/v1{path}", content=body, headers=headers), 404, 422)
    assert "\\ud800" not in str(own_web.rows("SELECT reason FROM bot_events"))


def test_half_a_character_in_a_trade_is_refused(own_web: Web) -> None:
    trade = (
        '{"source_trade_id": "t-1", "bot_id": "\\ud800", "ticker": "X", "direction": "LONG", "status": "open", '
        '"entry_time": "2025-01-02T10:00:00Z", "entry_price": 1, "quantity": 1}'
    )
    for token in ("ingest", "admin"):
        headers = own_web.token(token) | JSON  # type: ignore[arg-type]
        problem(own_web.client.post("/api/v1/trades", content=trade, headers=headers), 422)


OUTCOME = {"strategy_id": "s", "entry_price": 100, "exit_price": 102, "direction": "LONG"}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_times_that_cannot_be_are_refused(own_web: Web, at: str) -> None:
    right, token = "2025-01-01T10:00:00Z", own_web.token("ingest")
    for times in ({"entry_time": at, "exit_time": right}, {"entry_time": right, "exit_time": at}, {"entry_time": at}):
        answer = own_web.client.post("/api/learning/trade-outcome", json=OUTCOME | times, headers=token)
        assert (answer.status_code, answer.json()["success"]) == (422, False)
        assert "a time from the year 1 to 9999 in UTC is needed" in answer.json()["error"]


@pytest.mark.long
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1899-12-31T23:59:59Z"])
def test_times_of_no_trade_are_held(own_web: Web, at: str) -> None:
    times = {"entry_time": at, "exit_time": at}
    answer = own_web.client.post("/api/learning/trade-outcome", json=OUTCOME | times, headers=own_web.token("ingest"))
    assert (answer.status_code, answer.json()["success"]) == (422, False)
    assert "It is held as row" in answer.json()["error"]


def test_what_nobody_foresaw_is_told_as_any_other_problem() -> None:
    app = FastAPI()
    problems.install(app, lambda status, text, again: f"<p>{status}: {text}")

    @app.get("/api/v1/broken")
    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError("an inner secret")

    async def ask(path: str, raises: bool) -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    import asyncio

    told = problem(asyncio.run(ask("/api/v1/broken", False)), 500)
    assert "secret" not in told["detail"]
    page = asyncio.run(ask("/broken", False))
    assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert page.text == f"<p>500: {problems.FAULT}"
    with pytest.raises(ZeroDivisionError):  # which the server logs
        asyncio.run(ask("/broken", True))


@pytest.mark.parametrize(
    "path", ["/", "/ranking", "/bots/1", "/api/v1/rankings", "/api/v1/bots/1/trades", "/static/app.css"]
)
def test_head_is_get_without_the_body(web: Web, path: str) -> None:
    answer, whole = web.client.head(path), web.client.get(path)
    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert answer.headers.get(name) == whole.headers.get(name)


def test_head_of_what_is_not_there_and_of_a_stream_and_of_a_login(web: Web) -> None:
    assert web.client.head("/api/v1/bots/nobody").status_code == 404
    assert web.client.head("/api/v1/events").headers["content-type"].startswith("text/event-stream")
    assert web.client.head("/login?code=x").status_code == 405  # it would use up what counts once


def _named(name: str, number: int) -> dict[str, Any]:
    return {
        "source_trade_id": f"n-{number}", "bot_id": name, "strategy_id": name, "ticker": name, "direction": "LONG",
        "status": "closed", "entry_time": "2025-02-20 13:05", "exit_time": "2025-02-20 16:00", "entry_price": 100.0,
        "exit_price": 101.0, "quantity": 1.0, "fees": 0.0,
    }  # fmt: skip


@pytest.fixture
def named_web(own_web: Web) -> Web:
    """The fleet with bots whose names try to be paths."""
    rows = pd.DataFrame([_named(name, number) for number, name in enumerate(NAMES)])
    report = load_trades(own_web.url, read_frame(rows, "named", datetime(2025, 3, 1, tzinfo=UTC)), "named")
    assert report.inserted == len(NAMES)
    return own_web


def test_every_bot_can_be_read_and_decided_about(named_web: Web) -> None:
    token = named_web.token("admin")
    ids = dict(named_web.rows("SELECT name, bot_id FROM bots"))
    for name in NAMES:
        path = f"/api/v1/bots/{segment(name)}"
        assert (found := named_web.get(path).json())["bot"] == name
        assert found["bot_id"] == ids[name]
        assert len(named_web.get(f"{path}/trades").json()["data"]) == 1
        assert named_web.get(f"{path}/events").json() == []
        change = {"is_active": False, "reason": "strange"}
        assert named_web.client.patch(path, json=change, headers=token).json()["changed"]
        (decided,) = named_web.rows("SELECT reason FROM bot_events WHERE bot_id = %s", ids[name])
        assert decided == ("strange",)
        assert f"<h1>{name}" in unescape(named_web.get(bot_address(name)).text).replace("Bot ", "")


def test_a_bot_is_reached_by_its_number_and_by_a_name_that_is_merely_encoded(named_web: Web) -> None:
    for name, key in named_web.rows("SELECT name, bot_id FROM bots WHERE bot_id <> -11"):
        assert named_web.get(f"/api/v1/bots/{key}").json()["bot"] == name
    assert named_web.get("/api/v1/bots/-11").json()["bot"] == "-11"  # a name comes before a number
    for name in ("a/b", "a\u00a0b", "a,b", "x/metrics/metrics"):
        path = f"/api/v1/bots/{quote(name, safe='')}"
        assert named_web.get(path).status_code == 200
    assert named_web.get("/api/v1/bots/-999", 404)


def test_bots_with_commas_are_compared(named_web: Web) -> None:
    page = named_web.get("/compare", params={"bots": ["a,b", "1"], "days": 30}).text
    assert re.search(r"<textarea[^>]*>(a,b\n1|1\na,b)</textarea>", page)
    lines = named_web.get("/compare", params={"bots": "a,b\r\n1"}).text
    assert re.search(r"<textarea[^>]*>(a,b\n1|1\na,b)</textarea>", lines)


def test_control_characters_are_no_path(web: Web) -> None:
    for code in ("%00", "%0A", "%7F", "%C2%85"):
        assert "control characters" in web.client.get(f"/bots/1{code}").text
    assert web.client.get("/bots/x%C2%A0y").status_code == 404


def test_strategies_tickers_and_trades_are_reached_by_any_name(named_web: Web) -> None:
    token = named_web.token("ingest")
    for name in ("a/b", ".", "..", "x/history"):
        answer = named_web.client.get(f"/api/v1/strategies/{segment(name)}/history")
        assert problem(answer, 404)["detail"].startswith("Nothing was learned of a strategy of that name")
        assert name in problem(named_web.client.get(f"/api/v1/regimes/{segment(name)}/history"), 404)["detail"]
        trade = _named("1", 100) | {"source_trade_id": name, "status": "open"}
        trade = {key: value for key, value in trade.items() if not key.startswith("exit")}
        sent = named_web.client.post("/api/v1/trades", params={"source": "s/1"}, json=trade, headers=token)
        assert sent.status_code == 201, sent.text
        path = f"/api/v1/trades/{segment('s/1')}/{segment(name)}"
        moved = named_web.client.patch(path, json={"mark_price": 103.0}, headers=token)
        assert moved.json()["updated"] == 1, moved.text


@given(st.text(min_size=1))
def test_a_segment_is_one_and_is_spelled_back(name: str) -> None:
    from urllib.parse import unquote, urljoin

    if not name.isprintable():
        return
    written = segment(name)
    assert "/" not in written
    assert spelled(unquote(written)) == name
    assert urljoin("http://host/bots/", f"./{written}").endswith(f"/bots/{written}")  # no client takes it for a way up


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5), unique=True))
def test_bots_backwards_are_bots_turned_round(bots: list[str]) -> None:
    rows = [{"bot": name, "bot_id": number} for number, name in enumerate(bots)]
    up, down = (sorted(rows, key=Asked(sort=sort).key) for sort in ("bot", "-bot"))
    assert down == up[::-1]
    assert [row["bot"].casefold() for row in up] == sorted(name.casefold() for name in bots)


def test_the_ranking_by_bot_can_be_turned_round_part_by_part(named_web: Web) -> None:
    def all_of(sort: str) -> list[str]:
        bots: list[str] = []
        following = f"/api/v1/rankings?day={LAST}&sort={sort}&limit=2"
        while following:
            part = named_web.get(following).json()
            bots, following = bots + [row["bot"] for row in part["data"]], part["next"]
        return bots

    assert len(all_of("bot")) >= 9
    assert all_of("-bot") == all_of("bot")[::-1]


def test_half_a_character_is_written_as_json_writes_it() -> None:
    assert json.loads(as_json({"\ud800": "a\udfff"}).body) == {"\ud800": "a\udfff"}


def test_the_examples_run() -> None:
    import doctest

    from knowdefeat_pipeline.web import rankings
    from knowdefeat_pipeline.web.api import cursors

    for module in (parameters, cursors, rankings):
        assert doctest.testmod(module).attempted > 0
        assert doctest.testmod(module).failed == 0
