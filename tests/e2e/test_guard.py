"""A page of another site in the same browser: it starts nothing, reads nothing and shows nothing of ours."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.e2e.conftest import System

pytestmark = pytest.mark.e2e
Rows = Callable[..., list[tuple]]

LAUNCH = """mutation { launchRun(executionParams: {mode: "default", selector: {
    repositoryLocationName: "knowdefeat_pipeline", repositoryName: "__repository__", jobName: "maintenance"}})
    { __typename } }"""
WIPE = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["bot_rankings"]}}]) { __typename } }'

REPORTED = (
    "SELECT count(*) FROM dagster.event_logs"
    " WHERE run_id = '' AND dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NULL"
)

HOSTILE = """<!doctype html><title>hostile</title>
<img src="%(address)s/graphql?query=%(launch)s"><img src="%(address)s/graphql?query=%(wipe)s">
<iframe src="%(address)s/runs"></iframe>
<script src="%(address)s/server_info"></script>
<form id="form" method="post" enctype="text/plain" action="%(address)s/graphql" target="sink">
<input name='%(body)s' value=''></form><iframe name="sink"></iframe>
<script>
document.getElementById("form").submit();
const plain = {method: "POST", mode: "no-cors", headers: {"content-type": "text/plain"}, body: '%(body)s'};
const asked = [
  fetch("%(address)s/graphql", plain),
  fetch("%(address)s/graphql", {method: "POST", headers: {"content-type": "application/json"}, body: '%(body)s'}),
  fetch("%(address)s/server_info", {mode: "no-cors"}),
  fetch("%(address)s/report_asset_materialization/bot_rankings", {method: "POST", mode: "no-cors", body: "{}"}),
];
const socket = new WebSocket("%(socket)s/graphql", "graphql-ws");
asked.push(new Promise(done => { socket.onopen = () => done("open"); socket.onerror = () => done("closed"); }));
Promise.allSettled(asked).then(all => { document.body.dataset.socket = all.at(-1).value; });
</script>"""


class Hostile(BaseHTTPRequestHandler):
    """Serves one page whatever is asked for."""

    def __init__(self, page: bytes, *given: object) -> None:
        self.page = page
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *given: object) -> None:
        pass


@contextmanager
def served(page: str) -> Iterator[str]:
    """The address of another site, which is on this machine too, as after DNS rebinding."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hostile, page.encode()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://evil.example:{server.server_port}/"
    finally:
        server.shutdown()


@pytest.fixture
def foreign(browser: Browser) -> Iterator[Page]:
    """A page of the same browser that is none of ours."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def launched(rows: Rows) -> int:
    return int(rows("SELECT count(*) FROM dagster.runs WHERE pipeline_name = 'maintenance'")[0][0])


def test_another_site_starts_and_reads_nothing(foreign: Page, system: System, rows: Rows) -> None:
    body = json.dumps({"query": LAUNCH.replace("\n", " ")})
    hostile = HOSTILE % {
        "address": system.address, "socket": system.address.replace("http", "ws"), "launch": quote(LAUNCH),
        "wipe": quote(WIPE), "body": body.replace("'", "&#39;"),
    }  # fmt: skip
    before, wiped = launched(rows), rows("SELECT count(*) FROM dagster.asset_keys WHERE wipe_timestamp IS NOT NULL")
    answers: list[Response] = []
    foreign.on(
        "response", lambda response: answers.append(response) if response.url.startswith(system.address) else None
    )
    refused: list[str] = []
    foreign.on("requestfailed", lambda request: refused.append(request.url))
    with served(hostile) as address:
        foreign.goto(address)
        foreign.wait_for_selector("body[data-socket]", state="attached")
        foreign.wait_for_load_state("networkidle")
    assert foreign.locator("body").get_attribute("data-socket") == "closed"
    # The refusals forbid the browser to hand them out, so that most requests end as failed.
    assert {"/graphql", "/runs", "/server_info", "/report_asset_materialization/bot_rankings"} == {
        urlsplit(url).path for url in refused
    }
    assert len(refused) >= 8
    assert {answer.status for answer in answers} == {403}
    assert launched(rows) == before
    assert rows(REPORTED) == [(0,)]
    assert rows("SELECT count(*) FROM dagster.asset_keys WHERE wipe_timestamp IS NOT NULL") == wiped

    # The same words from a program of the user do start a run: it was the guard that kept the others out.
    request = Request(f"{system.address}/graphql", body.encode(), {"content-type": "application/json"})
    with urlopen(request) as response:
        assert json.load(response) == {"data": {"launchRun": {"__typename": "LaunchRunSuccess"}}}
    assert launched(rows) == before + 1


def test_a_name_that_was_made_to_point_here_reads_nothing(foreign: Page, system: System) -> None:
    answer = foreign.goto(f"http://evil.example:{urlsplit(system.address).port}/server_info")
    assert answer is not None
    assert answer.status == 403
    assert "the host 'evil.example:" in foreign.locator("body").inner_text()
