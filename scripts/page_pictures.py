"""Draw the pages in Chromium, as they show a simulated fleet: a picture each.

.venv/bin/python -m scripts.page_pictures docs/pictures/pages
The pages run in a home of their own, so that your data are not touched.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import sync_playwright

from scripts import pictures

KNOWDEFEAT = str(Path(sys.executable).parent / "knowdefeat")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1600, "height": 1000}, {"width": 390, "height": 900}
PAGES = {
    "fleet": "/",
    "ranking": "/ranking",
    "bot": "/bots/{best}",
    "compare": "/compare",
    "weights": "/weights?avg_win_rate=30&one_hour_performance=0&scale=true",
    "learning": "/learning",
    "regimes": "/regimes",
    "funds": "/funds",
    "what-if": "/funds?tried=true&funds=50000&bot_cap=0.3#what-if",
    "data": "/data",
    "mend": "/data/rows/1",
    "upload": "/data/upload",
    "operations": "/operations",
    "api": "/docs",
}
REFUSED = """id,bot,pair,side,opened_at,closed_at,open_price,close_price,position_value,fee
a-1,grid-eth-01,ETH-USD,up,2025-01-02 10:00,2025-01-02 11:00,3110,3125,1000,0.9
a-2,grid-eth-01,ETH-USD,sell,2025-01-02 12:00,2025-01-02 11:00,3125,3110,1000,0.9
a-3,grid-eth-01,ETH-USD,buy,2025-01-02 12:00,2025-01-02 13:00,-3110,3125,1000,0.9
"""


def main(folder: str) -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="knowdefeat-pictures-") as home, fleet(Path(home)) as environment:
        token = told(environment, "token", "new", "pictures", "--scope", "admin").split()[-1]
        best = told(environment, "rankings", "--json")
        with pages(environment) as address:
            draw(address, token, first_name(best), target)
    pictures.note(target.glob("*.png"))


@contextmanager
def fleet(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a home with a computed fleet, funds, and a file of which every row was refused."""
    ours = ("KNOWDEFEAT_", "DAGSTER_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    environment["KNOWDEFEAT_HOME"] = str(home)
    refused = home / "grid-eth-01.csv"
    refused.write_text(REFUSED)
    try:
        # First what is refused: a file of trades makes the simulated fleet leave.
        subprocess.run([KNOWDEFEAT, "ingest", str(refused)], env=environment, capture_output=True)
        told(environment, "simulate", "--fleet", "realistic", "--bots", "24", "--days", "120")
        told(environment, "run")
        told(environment, "funds", "set", "--funds", "100000", "--caution", "0.6", "--same-edge-limit", "1")
        told(environment, "run")
        yield environment
    finally:
        told(environment, "db", "stop")


def told(environment: Mapping[str, str], *arguments: str) -> str:
    return subprocess.run(
        [KNOWDEFEAT, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def first_name(ranking: str) -> str:
    name: str = json.loads(ranking)[0]["bot"]
    return name


@contextmanager
def pages(environment: Mapping[str, str]) -> Iterator[str]:
    """The address of the pages."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)]
    program, address = subprocess.Popen(command, env=environment), f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urlopen(f"{address}/api/v1/health").close()  # noqa: S310 (our own)
                break
            except OSError:
                if program.poll() is not None:
                    raise
                time.sleep(0.1)
        yield address
    finally:
        program.terminate()
        program.wait(30)


def draw(address: str, token: str, best: str, target: Path) -> None:
    executable = next(filter(None, map(shutil.which, BROWSERS)))
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--disable-gpu", *flags])
        for suffix, scheme, size, chosen in (
            ("", "light", WIDE, PAGES),
            ("-dark", "dark", NARROW, ("ranking", "fleet")),
        ):
            context = browser.new_context(
                base_url=address,
                viewport=size,
                color_scheme=scheme,
                extra_http_headers={"authorization": f"Bearer {token}"},
            )
            page = context.new_page()
            for name in chosen:
                page.goto(PAGES[name].format(best=best))
                page.locator("#live.on").wait_for()
                page.screenshot(path=target / f"{name}{suffix}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
