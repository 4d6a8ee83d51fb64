"""The pages in a real browser: readable by everybody, on any screen, without a script; and live with one."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from socket import create_server
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from knowdefeat_pipeline.core.units import day_end
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.tokens import new_token, offer_login
from tests.e2e.conftest import PATIENCE
from tests.e2e.test_guard import served as elsewhere
from tests.steps import days
from tests.web.conftest import CODE, LAST, NASTY, await_answer, environment_of, fleet_url  # noqa: F401 (a fixture)
from tests.web.test_currencies import give_yen

pytestmark = pytest.mark.e2e
AXE = "axe-core", "4.14.1"
PAGES = {
    "fleet": "/",
    "ranking": "/ranking",
    "bot": "/bots/1",
    "compare": "/compare",
    "weights": "/weights",
    "learning": "/learning?strategy=pairs&signals=pairs+LONG+80&base=1000&confidence=70&cap=5000",
    "regimes": "/regimes",
    "funds": "/funds",
    "what-if": "/funds?tried=true&funds=50000",
    "data": "/data",
    "row": "/data/rows/1",
    "import": "/data/imports/2",
    "upload": "/data/upload",
    "operations": "/operations",
    "api": "/docs",
}
WIDTHS = (1600, 390)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


Start = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def start(fleet_url: str, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts the program of the pages over a database, for as long as its `with` lasts; its address."""
    environment = environment_of(fleet_url, tmp_path_factory.mktemp("home"))

    @contextmanager
    def started(url: str, port: int | None = None) -> Iterator[str]:
        if port is None:
            with closing(create_server(("127.0.0.1", 0))) as listener:
                port = listener.getsockname()[1]
        command = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)]
        with connect(url) as owner:
            offer_login(owner, CODE)
        own = urlsplit(environment["KNOWDEFEAT_DATABASE_URL"])._replace(path=urlsplit(url).path).geturl()
        program = subprocess.Popen(
            command, env=environment | {"KNOWDEFEAT_DATABASE_URL": own, "KNOWDEFEAT_INTAKE_URL": url}, cwd=ROOT
        )
        try:
            await_answer(program, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait(30)

    return started


@pytest.fixture(scope="module")
def pages(start: Start, fleet_url: str) -> Iterator[str]:
    with start(fleet_url) as address:
        yield address


@pytest.fixture(scope="module")
def admin(fleet_url: str) -> dict[str, str]:
    """The header of a token that lets do everything, so that pages offer what they can."""
    with connect(fleet_url) as connection:
        return {"authorization": f"Bearer {new_token(connection, 'of the browser', 'admin')}"}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, which looks for what keeps people from reading a page."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder, (name, version) = tmp_path_factory.mktemp("axe"), AXE
    subprocess.run([npm, "pack", f"{name}@{version}"], cwd=folder, check=True, capture_output=True)
    with tarfile.open(folder / f"{name}-{version}.tgz") as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode()


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[tuple[BrowserContext, Page]]:
    """A page in a browser of its own, which asks nobody else for anything and throws no error."""
    context = browser.new_context(base_url=address, **options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    page, errors, elsewhere = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: elsewhere.append(request.url))
    yield context, page
    context.close()
    assert errors == []
    assert [url for url in elsewhere if not url.startswith((address, "data:"))] == []


def look_at(
    browser: Browser,
    address: str,
    axe: str,
    paths: dict[str, str],
    width: int,
    scheme: str,
    prefix: str,
    **options: object,
) -> dict[str, Any]:
    """What axe finds on each of the pages, where anything; pictures of them if the environment names a folder."""
    folder, found = os.environ.get("KNOWDEFEAT_SCREENSHOTS"), {}
    about = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "bypass_csp": True, **options}
    for name, path in paths.items():
        with opened(browser, address, **about) as (_, page):
            page.goto(path)
            page.locator("#live.on").wait_for()
            page.evaluate(axe)
            violations = page.evaluate(
                "tags => axe.run(document, {runOnly: tags}).then(r => r.violations.map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))]))",
                TAGS,
            )
            if violations:
                found[name] = violations
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            wrapped = page.evaluate(
                "[...document.querySelectorAll('thead th:not(.pick)')].filter(th => th.offsetParent && th.getClientRects()[0].height > 40).map(th => th.textContent)"
            )
            assert wrapped == [], name
            if folder:
                page.screenshot(path=ROOT / folder / f"{prefix}-{name}-{width}-{scheme}.png", full_page=True)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_keeps_anybody_from_reading_a_page(
    browser: Browser, pages: str, admin: dict[str, str], axe: str, scheme: str, width: int
) -> None:
    assert look_at(browser, pages, axe, PAGES, width, scheme, "page", extra_http_headers=admin) == {}


@pytest.mark.parametrize(("width", "scheme"), [(1600, "light"), (390, "dark")])
def test_nothing_keeps_anybody_from_reading_a_page_that_has_nothing_to_show(
    browser: Browser, start: Start, database: str, axe: str, width: int, scheme: str
) -> None:
    empty = {name: path for name, path in PAGES.items() if name not in ("bot", "row", "import", "what-if")}
    with start(database) as address:
        assert look_at(browser, address, axe, empty | {"learning": "/learning"}, width, scheme, "empty") == {}


def test_every_page_is_read_without_a_script(browser: Browser, pages: str) -> None:
    with opened(browser, pages, java_script_enabled=False, viewport={"width": 1600, "height": 900}) as (_, page):
        for path in PAGES.values():
            page.goto(path)
            expect(page.locator("h1")).to_be_visible()
        page.goto("/bots/1")
        expect(page.locator("figure svg.chart").first).to_be_visible()
        page.goto("/ranking")
        page.locator("input[name=bot]").fill("script")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody th.name")).to_have_text(NASTY)
        page.goto("/ranking")
        for bot in ("1", "4"):
            page.locator(f"input[name=bots][value='{bot}']").check()
        page.get_by_role("button", name="Compare the chosen").click()
        expect(page.locator(".matrix tbody tr")).to_have_count(2)


def test_weights_are_changed_without_a_script(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    with (
        cloned(fleet_url) as url,
        start(url) as address,
        opened(browser, address, java_script_enabled=False) as (_, page),
    ):
        page.goto(f"/login?code={CODE}")
        page.goto("/weights")
        page.locator("[name=avg_win_rate]").fill("40")
        page.get_by_role("button", name="Scale to 100").click()
        expect(page.locator("#sum")).to_have_text("Σ|w| = 100.0")
        expect(page.locator("[name=avg_win_rate]")).to_have_value("30.8")
        expect(page.locator("[type=range]").first).to_be_hidden()
        page.locator("[name=reason]").first.fill("steadier")
        page.get_by_role("button", name="Save as version 2").click()
        expect(page.locator(".news").first).to_contain_text("Version 2 is saved.")
        with connect(url) as connection:
            saved = connection.execute("SELECT version, reason, avg_win_rate FROM weight_versions WHERE version > 1")
            assert [(v, r, float(w)) for v, r, w in saved.fetchall()] == [(2, "steadier", 30.8)]


def await_in(page: Page, condition: str) -> None:
    """Await that a condition holds in the page, whose policy lets playwright's own waiting evaluate nothing there."""
    until = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < until, condition


def test_the_ranking_follows_the_sliders_to_the_last_bit(browser: Browser, pages: str) -> None:
    """The browser computes what the server would, with whatever weights."""
    weights = [[round(random.Random(n * 19 + k).uniform(-30, 30), 1) for k in range(19)] for n in range(40)]
    with opened(browser, pages, viewport={"width": 1600, "height": 900}) as (_, page):
        page.goto("/weights")
        await_in(page, "ranks !== null")
        told = page.evaluate(
            """async sets => {
                const found = [];
                for (const weights of sets) {
                    const named = Object.fromEntries(ranks.variables.map((name, at) => [name, weights[at]]));
                    const answer = await fetch("/api/v1/weights/preview", {method: "POST",
                        headers: {"content-type": "application/json"}, body: JSON.stringify({weights: named})});
                    const {data} = await answer.json();
                    found.push([ranked(weights).map(row => [row.bot_id, row.score]),
                                data.filter(row => row.rank !== null).map(row => [row.bot_id, row.rank_score])]);
                }
                return found;
            }""",
            weights,
        )
        assert len(told) == 40
        for browser_s, server_s in told:
            assert browser_s == server_s
        slider = page.locator("[data-variable=avg_win_rate]")
        slider.locator("[type=range]").fill("40")
        expect(slider.locator("[type=number]")).to_have_value("40.0")
        expect(slider.locator("output")).to_have_text("+30.0")
        expect(page.locator("#sum")).to_have_text("Σ|w| = 130.0")
        expect(page.locator("#sum.bad")).to_be_visible()
        expect(page).to_have_url(f"{pages}/weights?avg_win_rate=40.0")
        # What trades meanwhile is drawn by the server, and a moment later by the sliders again.
        drawn = "document.querySelector('#preview [data-figure=rank_score]')?.textContent === shown(places[0].score, 1)"
        await_in(page, drawn)
        followed = page.locator("#preview tbody").inner_text()
        page.reload()
        await_in(page, f"ranks !== null && {drawn}")
        assert page.locator("#preview tbody").inner_text() == followed  # what the server draws of that address
        expect(slider.locator("[type=number]")).to_have_value("40.0")


def test_of_two_editors_the_second_sees_both_and_nothing_is_lost(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    def change(page: Page, variable: str, reason: str) -> None:
        page.locator(f"[name={variable}]").fill("14")
        page.locator("[name=one_hour_performance]").fill("11")
        page.locator("#weights [name=reason]").fill(reason)

    with cloned(fleet_url) as url, start(url) as address, browser.new_context(base_url=address) as context:
        one, other = context.new_page(), context.new_page()
        one.goto(f"/login?code={CODE}")
        for page in (one, other):
            page.goto("/weights")
            page.locator("#live.on").wait_for()
        change(one, "avg_win_rate", "steadier")
        change(other, "one_day_performance", "bolder")
        one.get_by_role("button", name="Save as version 2").click()
        expect(one.locator(".news").first).to_contain_text("Version 2 is saved.")
        # The other hears of it at once, and keeps what was typed.
        expect(other.locator("#meanwhile")).to_contain_text("Somebody saved version 2", timeout=PATIENCE)
        expect(other.locator("#versions tbody tr")).to_have_count(2)
        expect(other.locator("[name=one_day_performance]")).to_have_value("14")
        expect(other.locator("#weights [name=reason]")).to_have_value("bolder")
        other.get_by_role("button", name="Save as version 2").click()
        rows = other.locator("#conflict tbody tr")
        expect(rows).to_have_text(
            [re.compile(r"one_day_performance\s*10.0\s*10.0\s*14.0"), re.compile(r"avg_win_rate\s*10.0\s*14.0\s*10.0")]
        )
        expect(other.locator("[name=one_day_performance]")).to_have_value("14.0")
        other.get_by_role("button", name="Save as version 3").click()
        expect(other.locator(".news").first).to_contain_text("Version 3 is saved.")
        with connect(url) as connection:
            saved = connection.execute("SELECT version, reason FROM weight_versions ORDER BY version").fetchall()
        assert saved[1:] == [(2, "steadier"), (3, "bolder")]


def test_what_is_learned_comes_to_the_open_fleet_by_itself(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    with cloned(fleet_url) as url, start(url) as address, opened(browser, address) as (_, page):
        page.goto("/")
        page.locator("#live.on").wait_for()
        page.evaluate("window.stayed = true")
        days.adjust(url, LAST, LAST, day_end(LAST))
        expect(page.locator("#learned .note")).to_contain_text(
            "The daily adjustment of Fri 28 Feb 2025", timeout=PATIENCE
        )
        assert page.evaluate("window.stayed")


def test_charts_can_be_looked_into(browser: Browser, pages: str) -> None:
    with opened(browser, pages, viewport={"width": 1600, "height": 900}) as (_, page):
        page.goto("/bots/1")
        page.locator("figure.plot.drawn .u-over").first.hover()
        expect(page.locator("figure.plot .tip").first).to_contain_text("Equity")


def test_a_trade_is_seen_in_every_open_tab_and_nine_share_one_stream(
    browser: Browser,
    start: Start,
    fleet_url: str,
    cloned: Callable[[str], AbstractContextManager[str]],
) -> None:
    with cloned(fleet_url) as url, start(url) as address, opened(browser, address) as (context, page):
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        tabs = [page, *(context.new_page() for _ in range(8))]
        for tab in tabs:
            tab.goto("/bots/1")
            tab.locator("#live.on").wait_for()
        assert len([asked_for for asked_for in asked if asked_for.endswith("/events")]) == 1
        for tab in tabs:
            tab.evaluate("window.stayed = true")
        with connect(url) as connection:
            connection.execute(
                "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, exit_reason) "
                "VALUES (1, 'BTC-USD', 'LONG', %s, 100, 100, 'closed', %s, 101, '<b>just closed</b>')",
                (day_end(LAST) - timedelta(hours=1), day_end(LAST) - timedelta(seconds=1)),
            )
        days.refresh(url, LAST, LAST, day_end(LAST))
        begun = time.monotonic()
        for tab in tabs:
            expect(tab.locator("#trades")).to_contain_text("<b>just closed</b>", timeout=PATIENCE)
            assert tab.evaluate("window.stayed")  # the page was changed, not loaded again
        assert time.monotonic() - begun < 20
        page.close()  # the tab that listened: another one takes over
        with connect(url) as connection:
            connection.execute("UPDATE bots SET name = 'renamed' WHERE bot_id = 1")
        for tab in tabs[1:]:
            expect(tab.locator("h1")).to_contain_text("renamed", timeout=PATIENCE)


def test_pages_say_since_when_they_are_not_updated_and_recover_by_themselves(
    browser: Browser,
    start: Start,
    fleet_url: str,
    cloned: Callable[[str], AbstractContextManager[str]],
) -> None:
    with cloned(fleet_url) as url:
        context = browser.new_context()
        page = context.new_page()
        with start(url) as address:
            page.goto(f"{address}/ranking")
            page.locator("#live.on").wait_for()
        expect(page.locator("#live.off")).to_contain_text("not updated since", timeout=PATIENCE)
        expect(page.locator("tbody tr")).to_have_count(9)  # what was shown stays
        with start(url, int(address.rpartition(":")[2])):
            expect(page.locator("#live.on")).to_have_text("live", timeout=PATIENCE)
        context.close()


def test_a_browser_logs_in_by_the_address_that_counts_once(browser: Browser, pages: str) -> None:
    with opened(browser, pages) as (context, page):
        page.goto(f"/login?code={CODE}")
        expect(page).to_have_url(f"{pages}/")
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert page.evaluate("document.cookie") == ""
        answer = page.evaluate(
            "fetch('/api/v1/bots/5', {method: 'PATCH', headers: {'content-type': 'application/json'}, "
            "body: JSON.stringify({is_active: true, reason: 'good'})}).then(r => r.status)"
        )
        assert answer == 200


def test_a_file_is_tried_and_recorded_and_a_row_of_it_is_mended(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]], tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "id,bot,pair,side,opened_at,closed_at,open_price,close_price,position_value\n"
        "a,mine,BTC-USD,buy,2025-01-02 10:00,2025-01-02 11:00,100,110,1000\n"
        "b,mine,BTC-USD,up,2025-01-02 12:00,2025-01-02 13:00,100,110,1000\n"
    )
    with cloned(fleet_url) as url, start(url) as address, opened(browser, address) as (_, page):
        page.goto(f"/login?code={CODE}")
        page.goto("/data/upload")
        page.locator("input[type=file]").set_input_files(file)
        page.get_by_role("button", name="Show how it is read").click()
        expect(page.locator("#found h2")).to_have_text("mine.csv: 1 trade, 1 held, of 2 rows", timeout=PATIENCE)
        page.get_by_role("button", name="Record it").click()  # the file is still chosen
        expect(page.locator("#found")).to_contain_text("1 new, 0 moved on, 0 replaced, 0 known, 1 refused")
        page.goto("/data?reason=unknown_direction")
        page.get_by_role("row", name="mine.csv:2").get_by_role("link", name="Mend").click()
        page.get_by_label("side").fill("sell")
        page.get_by_role("button", name="Record it").click()
        expect(page.locator("main")).to_contain_text("It was released")
        with connect(url) as connection:
            rows = connection.execute(
                "SELECT source_trade_id, pnl FROM trades WHERE source = 'table' ORDER BY 1"
            ).fetchall()
        assert rows == [("a", 100.0), ("b", -100.0)]
        page.goto("/data")
        page.get_by_role("link", name="Undo import").first.click()
        page.get_by_role("button", name="Undo import").click()
        expect(page.locator("main")).to_contain_text("Undone at")
        with connect(url) as connection:
            assert connection.execute("SELECT FROM trades WHERE source = 'table'").fetchall() == []


WRITTEN = ("bots", "bot_events", "weight_versions", "weight_settings", "fund_settings", "belief_ledger", "imports",
           "trades", "trade_quarantine")  # fmt: skip
ATTACK = """<!doctype html><title>hostile</title><iframe name="sink"></iframe><script>
const asked = [];
for (const [method, path] of %(routes)s) {
    const address = "%(address)s" + path, body = method === "DELETE" ? undefined : '{"reason": "mine", "is_active": false}';
    const own = {method, body, credentials: "include"};
    asked.push(fetch(address, {...own, headers: {"content-type": "application/json"}}));
    if (method !== "POST") continue;
    asked.push(fetch(address, {...own, mode: "no-cors", headers: {"content-type": "text/plain"}}));
    const form = Object.assign(document.createElement("form"), {method: "post", action: address, target: "sink"});
    document.body.append(form);
    form.submit();
}
Promise.allSettled(asked).then(all => { document.body.dataset.done = all.filter(of => of.status === "fulfilled").length; });
</script>"""


def test_another_site_writes_by_no_route_though_the_browser_is_logged_in(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    def everything(url: str) -> dict[str, list[tuple]]:
        with connect(url) as connection:
            return {
                name: connection.execute(f"SELECT {name}::text FROM {name} ORDER BY 1").fetchall() for name in WRITTEN
            }

    with cloned(fleet_url) as url, start(url) as address, browser.new_context(base_url=address) as context:
        page = context.new_page()
        page.goto(f"/login?code={CODE}")
        documented = page.request.get("/openapi.json").json()["paths"]
        samples = {
            "bot": "1",
            "currency": "USD",
            "strategy": "pairs",
            "source": "api",
            "quarantine_id": "1",
            "import_id": "1",
        }
        routes = [
            (method.upper(), re.sub(r"{(\w+)}", lambda m: samples.get(m[1], "1"), path))
            for path, methods in documented.items()
            for method in methods
            if method != "get"
        ]
        routes += [("POST", path) for path in ("/weights", "/weights/learner", "/funds", "/learning/reset", "/learning/withdraw",
                   "/operations/refresh", "/data/upload", "/data/rows/1", "/data/rows/1/discard", "/data/imports/1/undo")]  # fmt: skip
        assert len(routes) > 30
        before = everything(url)
        statuses: list[int] = []
        page.on("response", lambda answer: statuses.append(answer.status) if answer.url.startswith(address) else None)
        with elsewhere(ATTACK % {"address": address, "routes": json.dumps(routes)}) as hostile:
            page.goto(hostile)
            page.wait_for_selector("body[data-done]", state="attached")
            page.wait_for_load_state("networkidle")
        # No answer was handed out, but for those of whom nobody may know anything.
        assert set(statuses) <= {403}
        assert everything(url) == before
        page.goto("/")  # the browser is logged in all the same
        mine = page.evaluate(
            "fetch('/api/v1/bots/5', {method: 'PATCH', headers: {'content-type': 'application/json'}, "
            "body: JSON.stringify({is_active: false, reason: 'mine'})}).then(r => r.status)"
        )
        assert mine == 200
        assert everything(url) != before


def test_every_column_is_in_sight_with_two_currencies_and_long_names(
    browser: Browser, start: Start, fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]]
) -> None:
    with cloned(fleet_url) as url:
        give_yen(url)
        with connect(url) as connection:
            connection.execute("UPDATE bots SET name = repeat('n', 200) WHERE bot_id = 1")
        with start(url) as address, opened(browser, address, viewport={"width": 1600, "height": 900}) as (_, page):
            for path in ("/", "/ranking", "/compare"):
                page.goto(path)
                page.locator("#live.on").wait_for()
                hidden = page.evaluate(
                    "[...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth + 1)"
                    ".map(part => [part.getAttribute('aria-label'), part.scrollWidth - part.clientWidth])"
                )
                assert hidden == [], path
