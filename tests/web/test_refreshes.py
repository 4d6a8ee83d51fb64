"""Starting a refresh from the pages: what Dagster is asked for, by whom, and what is said where it does not take it."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, settle, stale_days
from tests.web.conftest import CODE, LAST, Web
from tests.web.test_decision_pages import FORM

TAKEN = {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "12345678-abcd"}}}}
LATE = "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price) VALUES (1, 'BTC-USD', 'LONG', %s, 100, 100, 'closed', %s, 101)"  # fmt: skip


class Dagster(BaseHTTPRequestHandler):
    """Answers what it is told to, and keeps what it was asked."""

    asked: list[Any]
    told: Any

    def do_POST(self) -> None:
        assert (self.path, self.headers["content-type"]) == ("/graphql", "application/json")
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        body = json.dumps(self.told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def dagster(own_web: Web) -> Iterator[type[Dagster]]:
    """A web server in the place of Dagster's, which the pages know."""
    handler = type("Told", (Dagster,), {"asked": [], "told": TAKEN})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own_web.site.dagster = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()


def start(web: Web, status: int = 202, scope: Any = "admin", **days: str) -> Any:
    with connect(web.url) as connection:
        connection.execute("DELETE FROM api_tokens WHERE name = %s", (scope,))
    answer = web.client.post("/api/v1/refreshes", json=days, headers=web.token(scope))
    assert answer.status_code == status, answer.text
    return answer.json()


def tags(asked: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in asked["variables"]["run"]["executionMetadata"]["tags"]}


def test_days_that_are_named_are_asked_for_by_name_of_the_token(own_web: Web, dagster: type[Dagster]) -> None:
    told = start(own_web, first="2025-02-20", last="2025-02-22")
    assert told == {"run_id": "12345678-abcd", "first": "2025-02-20", "last": "2025-02-22"}
    (asked,) = dagster.asked
    assert asked["variables"]["run"]["selector"] == {
        "repositoryLocationName": "knowdefeat_pipeline",
        "repositoryName": "__repository__",
        "jobName": "refresh",
    }
    assert tags(asked) == {
        "dagster/asset_partition_range_start": "2025-02-20",
        "dagster/asset_partition_range_end": "2025-02-22",
        "knowdefeat/by": "admin",
    }
    assert start(own_web, first="2025-02-20")["last"] == "2025-02-20"


def test_what_is_stale_is_asked_for_where_no_day_is_named(own_web: Web, dagster: type[Dagster]) -> None:
    with connect(own_web.url) as connection:
        ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
        for family in (RANKING, BELIEFS):
            settle(connection, stale_days(connection, family, now))
        stale = stale_days(connection, RANKING, now)
        day = LAST - timedelta(days=3)
        if not stale:
            assert "Up to date" in start(own_web, 409)["detail"]
        connection.execute(LATE, (f"{day} 09:00Z", f"{day} 10:00Z"))
        stale = stale_days(connection, RANKING, now)
    told = start(own_web)
    assert (told["first"], told["last"]) == (str(stale.first), str(min(stale.last, stale.first + timedelta(days=89))))
    assert tags(dagster.asked[-1])["dagster/asset_partition_range_start"] == told["first"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({"first": "2025-02-22", "last": "2025-02-20"}, "write days in order"),
        ({"first": "2199-01-01"}, "write days in order"),
        ({"first": "2999-01-01"}, "body.first"),
        ({"first": "1999-01-01"}, "write days in order"),
        ({"first": "2024-01-01", "last": "2025-01-01"}, "more than the 90 days of a run"),
        ({"first": "soon"}, "body.first"),
    ],
)
def test_days_that_no_run_has_are_refused(
    own_web: Web, dagster: type[Dagster], days: dict[str, str], words: str
) -> None:
    assert words in start(own_web, 422, **days)["detail"]
    assert dagster.asked == []


def test_only_who_may_decide_starts_one(own_web: Web, dagster: type[Dagster]) -> None:
    assert own_web.client.post("/api/v1/refreshes", json={}).status_code == 401
    start(own_web, 403, "ingest", first="2025-02-20")
    assert own_web.client.post("/operations/refresh", content="", headers=FORM).status_code == 401
    assert "Start a refresh" not in own_web.get("/operations").text
    assert dagster.asked == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"data": {"launchRun": {"__typename": "PythonError", "message": "no code"}}}, "no code"),
        ({"errors": [{"message": "x"}]}, "Dagster did not take the run"),
    ],
)
def test_what_dagster_does_not_take_is_told(own_web: Web, dagster: type[Dagster], told: Any, words: str) -> None:
    dagster.told = told
    assert words in start(own_web, 503, first="2025-02-20")["detail"]


def test_without_dagster_it_is_told_what_to_type(own_web: Web) -> None:
    assert "knowdefeat run" in start(own_web, 409, first="2025-02-20")["detail"]
    own_web.site.dagster = "http://127.0.0.1:1"
    assert "does not answer" in start(own_web, 503, first="2025-02-20")["detail"]


def test_the_page_starts_one_and_names_it(own_web: Web, dagster: type[Dagster]) -> None:
    web = own_web
    web.get(f"/login?code={CODE}", 303)
    assert "Start a refresh" in web.get("/operations").text
    fields = urlencode({"first": "2025-02-20", "last": ""})
    answer = web.client.post("/operations/refresh", content=fields, headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/operations?started=12345678-abcd")
    page = web.get(answer.headers["location"]).text
    assert f'<a href="{web.site.dagster}/runs/12345678-abcd">12345678</a> was asked for' in page
    wrong = web.client.post("/operations/refresh", content=urlencode({"first": "soon"}), headers=FORM)
    assert (wrong.status_code, "is no day; write 2025-01-31" in wrong.text) == (422, True)
