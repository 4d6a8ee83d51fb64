"""What open pages say while parts of the system are gone, and that they recover by themselves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest
from playwright.sync_api import Browser, Page, expect

from knowdefeat_pipeline.core.simulation.bots import simulate
from knowdefeat_pipeline.core.units import day_start
from knowdefeat_pipeline.postgres import migrations
from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.postgres.server import EmbeddedPostgres
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.sources.frames import read_frame
from knowdefeat_pipeline.store.trades import load_trades
from tests.e2e.conftest import KNOWDEFEAT, PATIENCE
from tests.steps import days
from tests.web.conftest import await_answer

pytestmark = pytest.mark.e2e
TABS = 9
TRADE = (
    "INSERT INTO trades (bot_id, ticker, direction, entry_time, entry_price, notional, status, exit_time, exit_price, exit_reason) "
    "VALUES (1, 'BTC-USD', 'LONG', now() - interval '2 minutes', 100, 100, 'closed', now() - interval '1 second', 101, %s)"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own, with a small fleet that is computed up to now."""
    server = EmbeddedPostgres(tmp_path / "home")
    (tmp_path / "home").mkdir()
    url = server.ensure_running()
    migrations.upgrade(url)
    today = datetime.now(UTC).date()
    trades = simulate("base", bots=6, days=8, seed=3, end=day_start(today)).trades
    load_trades(url, read_frame(trades, "paper", datetime.now(UTC)), "fleet")
    days.refresh(url, today - timedelta(days=9), today, datetime.now(UTC))
    days.learn(url, today - timedelta(days=9), today)
    yield server
    server.stop()


@contextmanager
def running(command: list[str], home: Path, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program over that database, ended at the end."""
    environment = os.environ | {"KNOWDEFEAT_HOME": str(home), "KNOWDEFEAT_DATABASE_URL": url}
    program = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        yield program
    finally:
        if program.poll() is None:
            program.send_signal(signal.SIGTERM)
            program.wait(60)


def see_in_all(tabs: list[Page], reason: str) -> None:
    for tab in tabs:
        expect(tab.locator("#trades")).to_contain_text(reason, timeout=PATIENCE)
        assert tab.evaluate("window.stayed")  # the page was changed, not loaded again


def refused(tab: Page) -> None:
    """Let a tab ask for new figures, which it does not get."""
    with tab.expect_response(lambda answer: answer.status == 503):
        tab.evaluate("document.body.dispatchEvent(new Event('results'))")


def test_pages_outlive_the_listener_and_the_database(
    browser: Browser, server: EmbeddedPostgres, tmp_path: Path
) -> None:
    home, url = tmp_path / "home", server.ensure_running()
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    serve = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)]
    with running(serve, home, url) as pages, browser.new_context(base_url=address) as context:
        await_answer(pages, address)
        context.set_default_timeout(PATIENCE)
        tabs, fleet = [context.new_page() for _ in range(TABS - 1)], context.new_page()
        for tab in tabs:
            tab.goto("/bots/1")
        fleet.goto("/")
        for tab in (*tabs, fleet):
            tab.locator("#live.on").wait_for()
            tab.evaluate("window.stayed = true")
        # A refresh that fails, while new results are heard of all the same: the figures stay, and are said to be old.
        tabs[0].route("**/bots/1", lambda route: route.fulfill(status=503, body="<main id=page>Not now</main>"))
        refused(tabs[0])
        expect(tabs[0].locator("#live.off")).to_contain_text("not updated since")
        expect(tabs[0].locator("h1")).to_contain_text("Bot 1")
        tabs[0].unroute("**/bots/1")
        expect(tabs[0].locator("#live.on")).to_have_text("live")
        needs, command = fleet.locator(".needs"), [KNOWDEFEAT, "live"]

        with running(command, home, url) as listener:
            with connect(url) as connection:
                connection.execute(TRADE, ("the first",))
            see_in_all(tabs, "the first")
            listener.kill()  # which nobody notices but by what it does not do
        with connect(url) as connection:
            connection.execute(TRADE, ("the second",))
        expect(needs).to_contain_text("The results of ranking are behind for 1 day since", timeout=2 * PATIENCE)
        with running(command, home, url):
            see_in_all(tabs, "the second")
            expect(needs).not_to_contain_text("The results of ranking are behind", timeout=2 * PATIENCE)

            postmaster = int((server.data / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGKILL)
            for tab in (*tabs, fleet):  # until the server notices, it answers with what it holds
                expect(tab.locator("#live.off")).to_contain_text("not updated since", timeout=PATIENCE)
            for tab in tabs[:2]:  # as when it goes while they ask
                refused(tab)
            late = context.new_page()
            assert (answer := late.goto("/bots/1")) is not None
            assert answer.status == 503
            for tab in (*tabs, fleet):  # also once a new tab has asked those that are open
                expect(tab.locator("#live")).to_contain_text("not updated since")
                assert tab.evaluate("window.stayed")  # what was shown stays
            for tab in tabs:
                expect(tab.locator("#trades")).to_contain_text("the second")
            expect(late.locator("h1")).to_have_text("Not now")
            assert server.ensure_running() == url
            expect(late.locator("#trades")).to_contain_text("the second", timeout=2 * PATIENCE)
            expect(late.locator("figure.plot.drawn").first).to_be_visible()  # with the scripts of the page
            for tab in (*tabs, fleet):
                expect(tab.locator("#live.on")).to_have_text("live", timeout=2 * PATIENCE)
            with connect(url) as connection:
                connection.execute(TRADE, ("the third",))
            see_in_all(tabs, "the third")
