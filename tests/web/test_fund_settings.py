"""Settings of the funds over HTTP: tried beside today, saved by one editor after the other, and never lost."""

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from knowdefeat_pipeline.core.funds.settings import AllocationRules, FundSettings
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.roles import Passwords
from knowdefeat_pipeline.store.funds import FundsChanged, save_settings
from knowdefeat_pipeline.web import aside
from tests.steps import days
from tests.web.conftest import CODE, END, LAST, Web, role_url, served
from tests.web.test_decision_pages import FORM
from tests.web.test_pages import Figures, value

SETTINGS = {"funds": 50_000, "bot_cap": 0.2, "reason": "half of it"}


def put(web: Web, status: int = 200, currency: str = "USD", scope: Any = "admin", body: Any = SETTINGS, **headers: str) -> Any:  # fmt: skip
    with connect(web.url) as connection:
        connection.execute("DELETE FROM api_tokens WHERE name = %s", (scope,))
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    answer = web.client.put(f"/api/v1/funds/{currency}", json=body, headers=web.token(scope) | given)
    assert answer.status_code == status, answer.text
    return answer


def versions(web: Web) -> list[tuple]:
    return web.rows("SELECT funds::float8, bot_cap, author, reason FROM fund_settings ORDER BY version")


def test_what_is_set_is_a_version_by_who_has_the_token(own_web: Web) -> None:
    web = own_web
    answer = web.get("/api/v1/funds/USD")
    (first,) = answer.json()
    assert answer.headers["etag"] == f'"{first["version"]}"'
    made = put(web, if_match=answer.headers["etag"])
    assert made.headers["etag"] == f'"{made.json()["version"]}"' != answer.headers["etag"]
    assert versions(web)[1:] == [(50_000.0, 0.2, "admin", "half of it")]
    told = made.json()
    assert {name: told[name] for name in ("method", "ticker_cap", "caution", "drawdown_limit")} == {
        name: first[name] for name in ("method", "ticker_cap", "caution", "drawdown_limit")
    }  # what is left out is as it was
    assert put(web, if_match="*", body=SETTINGS | {"caution": None}).json()["caution"] is None


def test_who_comes_second_is_told_what_differs_and_nothing_is_lost(own_web: Web) -> None:
    web = own_web
    etag = web.get("/api/v1/funds/USD").headers["etag"]
    put(web, if_match=etag)
    answer = put(web, 412, body={"funds": 70_000, "reason": "more"}, if_match=etag)
    problem = answer.json()
    assert problem["latest"]["reason"] == "half of it"
    assert {"setting": "funds", "was": 100_000.0, "latest": 50_000.0, "yours": 70_000.0} in problem["differing"]
    assert len(versions(web)) == 2
    assert put(web, body={"funds": 70_000, "reason": "more"}, if_match=answer.headers["etag"]).json()["bot_cap"] == 0.2
    assert put(web, 428).json()["detail"].startswith("Say which version this builds on")
    assert put(web, 412, if_none_match="*").status_code == 412
    for tag in ('"nonsense"', '"0"', 'W/"x"'):
        put(web, 412, if_match=tag)
    assert len(versions(web)) == 3


def test_a_currency_without_settings_begins(own_web: Web) -> None:
    web = own_web
    with connect(web.url) as connection:
        connection.execute("UPDATE bots SET quote_currency = 'JPY' WHERE bot_id = 9")
    assert put(web, 428, "JPY").json()["detail"].count("If-None-Match: *") == 1
    put(web, 412, "JPY", if_match='"1"')
    made = put(web, 200, "JPY", if_none_match="*").json()
    assert (made["funds"], made["caution"], made["in_force_from"]) == (50_000.0, 0.8, None)
    assert "No bot accounts in XXX" in put(web, 404, "XXX", if_none_match="*").json()["detail"]
    assert "JPY has no decimals" in put(web, 422, "JPY", body=SETTINGS | {"funds": 1.5}, if_match="*").json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"funds": -1, "reason": "x"}, "body.funds"),
        ({"bot_cap": 1.5, "reason": "x"}, "body.bot_cap"),
        ({"method": "luck", "reason": "x"}, "body.method"),
        ({"funds": 1}, "body.reason"),
        ({"author": "me", "reason": "x"}, "body.author"),
    ],
)
def test_what_are_no_settings_is_refused(own_web: Web, body: Any, field: str) -> None:
    problem = put(own_web, 422, body=body, if_match="*").json()
    assert field in [fault["field"] for fault in problem["errors"]]
    assert len(versions(own_web)) == 1


def test_settings_need_a_token_of_the_scope_admin(own_web: Web) -> None:
    assert own_web.client.put("/api/v1/funds/USD", json=SETTINGS, headers={"if-match": "*"}).status_code == 401
    for scope in ("read", "ingest"):
        put(own_web, 403, scope=scope, if_match="*")
    assert len(versions(own_web)) == 1


def test_of_two_who_save_at_once_one_is_told(own_web: Web) -> None:
    with connect(own_web.url) as one, connect(own_web.url) as other:
        ((number,),) = one.execute("SELECT max(version) FROM fund_settings").fetchall()
        save_settings(one, FundSettings("USD", 1_00), "one", "first", based_on=number)
        with pytest.raises(FundsChanged, match="is the latest of the funds in USD, and this change builds on version"):
            save_settings(other, FundSettings("USD", 2_00), "other", "second", based_on=number)
    assert [row[2] for row in versions(own_web)] == ["the owner", "one"]


def preview(web: Web, status: int = 200, **body: Any) -> Any:
    answer = web.client.post("/api/v1/allocations/preview", json={"currency": "USD", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.long
def test_the_preview_of_what_is_set_is_what_was_allocated(fleet_url: str, tmp_path: Any) -> None:
    with served(fleet_url, role_url(fleet_url, Passwords(tmp_path))) as web:  # with no more than the pages' rights
        found = preview(web)
        assert (found["day"], found["changed"]) == (str(LAST), 0)
        expected = web.rows(
            "SELECT bot_id, amount::float8, decision, reason FROM fund_allocations WHERE day = %s", LAST
        )
        told = [(row["bot_id"], row["amount"], row["decision"], row["reason"]) for row in found["data"]]
        assert sorted(told) == sorted(expected)
        assert all(row["amount"] == row["amount_before"] and row["change"] == 0 for row in found["data"])


@pytest.mark.long
def test_the_preview_of_other_settings_is_what_a_run_writes(own_web: Web) -> None:
    web = own_web
    found = preview(web, funds=40_000, bot_cap=0.2)
    assert found["changed"] > 0
    assert found["summary"]["allocated"] + found["summary"]["cash"] == 40_000.0
    with connect(web.url) as connection:  # in force before the day's end, as if they had been set then
        settings = FundSettings("USD", 40_000_00, allocation=AllocationRules(0.2))
        save_settings(connection, settings, "the owner", "x", since=END.replace(year=2024))
    days.refresh(web.url, LAST, LAST, END)
    expected = dict(web.rows("SELECT bot_id, amount::float8 FROM fund_allocations WHERE day = %s", LAST))
    assert {row["bot_id"]: row["amount"] for row in found["data"]} == expected


def test_what_cannot_be_tried_is_told(web: Web) -> None:
    assert (
        "There is no ranking on 2020-01-01"
        in web.client.post("/api/v1/allocations/preview?day=2020-01-01", json={"currency": "USD"}).json()["detail"]
    )
    assert "No bot accounts in XXX" in web.client.post("/api/v1/allocations/preview", json={"currency": "XXX"}).text
    with aside._turn:
        assert preview(web, 429)["status"] == 429


def typed(page: str) -> dict[str, str]:
    """What the fields of the form of settings hold."""
    form = page[page.index('<form id="settings"') :]
    form = form[: form.index("</form>")]
    found = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', form))
    (found["method"],) = re.findall(r'<option value="(\w+)" selected', form)
    return {name: html.unescape(text) for name, text in found.items()}


@pytest.fixture
def logged_in(own_web: Web) -> Web:
    own_web.get(f"/login?code={CODE}", 303)
    return own_web


def send(web: Web, status: int, fields: dict[str, str]) -> Any:
    answer = web.client.post("/funds", content=urlencode(fields), headers=FORM)
    assert answer.status_code == status, answer.text[:2000]
    return answer


@pytest.mark.long
def test_the_page_shows_what_other_settings_would_give_beside_today(web: Web) -> None:
    assert "Saving needs a browser" in web.get("/funds").text
    fields = typed(web.get("/funds").text)
    ((funds, method, bot_cap),) = web.rows("SELECT funds::float8, method, bot_cap FROM fund_settings")
    assert (float(fields["funds"]), fields["method"], float(fields["bot_cap"])) == (funds, method, bot_cap)
    query = {**fields, "funds": "50000", "tried": "true"}
    page = web.get(f"/funds?{urlencode(query)}").text
    assert typed(page)["funds"] == "50000"
    found = Figures(page).found
    told = preview(web, funds=50_000)
    for name in ("allocated", "cash", "funded"):
        assert value(found["tried", name]) == pytest.approx(told["summary"][name])
    for row in told["data"]:
        for name in ("rank", "amount", "amount_before", "change"):
            assert value(found[f"tried-{row['bot_id']}", name]) == row[name], (row["bot_id"], name)
    rows = web.get(f"/funds?{urlencode(query)}&format=json").json()
    assert [(row["bot_id"], row["amount"]) for row in rows] == [(row["bot_id"], row["amount"]) for row in told["data"]]
    wrong = web.get(f"/funds?{urlencode(query | {'bot_cap': '2', 'reason': 'a <b>'})}").text
    assert "bot_cap: Input should be less than or equal to 1" in wrong
    assert (typed(wrong)["bot_cap"], "<b>" in wrong) == ("2", False)


def test_settings_are_saved_by_who_is_logged_in(logged_in: Web) -> None:
    web = logged_in
    page = web.get("/funds").text
    assert "Saving needs a browser" not in page  # it is told to who is not logged in
    fields = typed(page)
    answer = send(web, 303, fields | {"funds": "50000", "caution": "", "reason": " less "})
    page = web.get(answer.headers["location"]).text
    assert "is saved." in page
    ((amount, caution, author, reason),) = web.rows(
        "SELECT funds::float8, caution, author, reason FROM fund_settings ORDER BY version DESC LIMIT 1"
    )
    assert (amount, caution, author.startswith("browser "), reason) == (50_000.0, None, True, "less")
    # Whoever looked at the version before sees both, and may save on top.
    page = send(web, 412, fields | {"funds": "70000", "reason": "more"}).text
    table = page[page.index('id="conflict"') :]
    assert re.search(r"funds</th><td class=\"n\">100,000.00</td><td class=\"n\">50,000.00</td><td class=\"n strong\">70,000.00<", table)  # fmt: skip
    assert '<form id="settings" method="post" action="/funds#what-if"' in page  # where a browser then stands
    assert answer.headers["location"].endswith("#saved")
    again = typed(page)
    assert (again["funds"], again["reason"]) == ("70000", "more")
    send(web, 303, again)
    assert [row[0] for row in versions(web)] == [100_000.0, 50_000.0, 70_000.0]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"reason": " "}, 422, "Say why"),
        ({"funds": "1.234", "reason": "x"}, 422, "USD has 2 decimals"),
        ({"funds": "much", "reason": "x"}, 422, "funds: Input should be a valid decimal"),
        ({"based_on": "", "reason": "x"}, 422, "based_on"),
    ],
)
def test_what_cannot_be_saved_is_told_and_what_was_typed_stays(
    logged_in: Web, change: dict[str, str], status: int, words: str
) -> None:
    fields = typed(logged_in.get("/funds").text) | change
    page = send(logged_in, status, fields).text
    assert words in page
    assert typed(page)["funds"] == fields["funds"]
    assert len(versions(logged_in)) == 1


def test_who_is_not_logged_in_saves_nothing(own_web: Web) -> None:
    page = own_web.get("/funds").text
    assert "Saving needs a browser that is logged in" in page
    page = send(own_web, 401, typed(page) | {"reason": "x"}).text
    assert "This needs a token" in page
    assert typed(page)["reason"] == "x"  # what was typed stays
    assert len(versions(own_web)) == 1


def test_where_nothing_is_set_the_page_says_it_once_and_takes_settings(logged_in: Web) -> None:
    web = logged_in
    with connect(web.url) as connection:
        connection.execute("TRUNCATE fund_allocations, fund_allocation_days, fund_settings")
    page = web.get("/funds").text
    assert page.count("knowdefeat funds set") == 1
    fields = typed(page)
    assert (fields["funds"], fields["caution"], fields["based_on"]) == ("0.00", "0.8", "0")
    send(web, 303, fields | {"funds": "1000", "reason": "begin"})
    assert [row[0] for row in versions(web)] == [1_000.0]
