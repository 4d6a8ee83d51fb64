"""The tear sheet as a browser shows it: on a wide and a narrow screen, light and dark, and without a network."""

import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import KNOWDEFEAT, System

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sheet(system: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "bot.html"
    environment = {**os.environ, "KNOWDEFEAT_DATABASE_URL": system.database_url}
    done = subprocess.run([KNOWDEFEAT, "report", "1", "--out", path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return path


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tear_sheet_is_whole_on_every_screen(browser: Browser, sheet: Path, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    said, asked = [], []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(sheet.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("Bot 1")
    for title in ("Net pnl by month", "What moved the score", "Skill", "Win streaks", "Open positions"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert page.locator("svg").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") == width  # tables scroll by themselves
    ground, ink = page.evaluate(
        "[getComputedStyle(document.documentElement).colorScheme, getComputedStyle(document.body).color]"
    )
    assert ground == "light dark"
    assert ink == ("rgb(0, 0, 0)" if scheme == "light" else "rgb(255, 255, 255)")
    assert (said, asked) == ([], [sheet.as_uri()])
    context.close()
