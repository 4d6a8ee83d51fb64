"""The examples of docs/api.md do what they say, with curl and Python, against the served program; it names each route."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from socket import create_server

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.tokens import new_token
from tests.web.conftest import Web, await_answer, environment_of
from tests.web.test_ingestion import CSV

DOCUMENTED = "http://127.0.0.1:3000"
GUIDE = (ROOT / "docs" / "api.md").read_text()
SHELL, PYTHON = (re.search(rf"### Bringing trades.*?```{kind}\n(.*?)```", GUIDE, re.S) for kind in ("sh", "python"))
DECIDING = GUIDE[GUIDE.index("## API\n") : GUIDE.index("### Bringing trades")]
# What the guide calls bots, tickers and versions, and what they are in the fleet of the tests.
NAMES = {"grid-eth-01": "1", "BTC-USD": "DOGE-USD"}


@pytest.fixture
def address(database: str, tmp_path: Path) -> Iterator[str]:
    """Where the program of the pages serves a fresh database."""
    with program(database, tmp_path) as address:
        yield address


@contextmanager
def program(database: str, tmp_path: Path) -> Iterator[str]:
    """The address of the program of the pages over a database."""
    with closing(create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "knowdefeat_pipeline.web.serve", "--port", str(port)]
    program = subprocess.Popen(command, env=environment_of(database, tmp_path), cwd=ROOT)
    try:
        await_answer(program, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(30)


def test_the_examples_bring_mend_and_take_back_trades(database: str, address: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    assert SHELL is not None
    assert PYTHON is not None
    (tmp_path / "trades.csv").write_text(CSV)
    with connect(database) as connection:
        token = new_token(connection, "mine", "admin")

    def run(*command: str) -> str:
        environment = os.environ | {"TOKEN": token}
        return subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    script = SHELL[1].replace("$(knowdefeat token show)", token).replace(DOCUMENTED, address)
    said = run("bash", "-euc", script.replace("curl ", "curl --fail-with-body --no-progress-meter "))
    assert said.count('"inserted":1,"updated":0') == 2  # the first one, and the row that was released
    assert '"inserted":0,"updated":1' in said
    assert '"inserted":2' in said
    assert '"import_id":3,"removed":3' in said
    assert run(sys.executable, "-c", PYTHON[1].replace(DOCUMENTED, address)) == "201 1\n"
    with connect(database) as connection:
        found = connection.execute("SELECT source_trade_id, pnl FROM trades ORDER BY 1").fetchall()
    assert found == [("t-1", 49.0), ("t-2", pytest.approx(4.2))]  # 1000 · 10 / 2000 − 0.8


@pytest.mark.long
def test_the_examples_read_and_decide(
    fleet_url: str, cloned: Callable[[str], AbstractContextManager[str]], tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with cloned(fleet_url) as url, program(url, tmp_path) as address:
        with connect(url) as connection:
            token = new_token(connection, "mine", "admin")

        def run(*command: str) -> str:
            environment = os.environ | {"TOKEN": token}
            done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            return done.stdout

        def here(text: str) -> str:
            for name, ours in {**NAMES, "$(knowdefeat token show)": token, DOCUMENTED: address}.items():
                text = text.replace(name, ours)
            return text.replace("curl ", "curl --fail-with-body --no-progress-meter ")

        reading, decisions, weights, funds = re.findall(r"```sh\n(.*?)```", DECIDING, re.S)
        assert '"moved_1d"' in run("bash", "-euc", here(reading))
        assert '"is_active":false,"changed":true' in run("bash", "-euc", here(decisions))
        assert '"version":3' in run("bash", "-euc", here(weights))
        assert '"changed":' in run("bash", "-euc", here(funds))
        pages, spread = re.findall(r"```python\n(.*?)```", DECIDING, re.S)
        assert run(sys.executable, "-c", here(pages)) == "9\n"
        assert run(sys.executable, "-c", here(spread)) == "200 0.05\n"
        with connect(url) as connection:
            made = connection.execute("SELECT funds::float8, bot_cap, author FROM fund_settings ORDER BY version")
            assert made.fetchall()[1:] == [(50_000.0, 0.2, "mine"), (50_000.0, 0.05, "mine")]
            switched = "SELECT author, reason FROM bot_events WHERE bot_id = 7 AND kind = 'deactivated'"
            assert connection.execute(switched).fetchall() == [("mine", "looks lucky")]


def test_the_guide_names_every_route(web: Web) -> None:
    """By every word of its address, in the tables of routes."""
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^\| `.*$", GUIDE, re.M))))
    for path in web.get("/openapi.json").json()["paths"]:
        words = re.findall(r"[\w-]+", re.sub(r"{\w+}", "", path.removeprefix("/api/v1").removeprefix("/api/learning")))
        assert set(words) <= named, path


def test_the_pictures_of_the_guide_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", GUIDE)
    assert len(pictures) == 16
    for picture in pictures:
        assert 0 < (ROOT / "docs" / picture).stat().st_size < 400_000


def test_the_first_trade_by_http_is_recorded(database: str, address: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (script,) = re.findall(
        r"^```sh\n(curl .*?)^```", (ROOT / "docs/start/http.md").read_text(), re.MULTILINE | re.DOTALL
    )
    with connect(database) as connection:
        environment = os.environ | {"TOKEN": new_token(connection, "my-bots", "ingest")}
    script = script.replace(DOCUMENTED, address).replace("curl ", "curl --fail-with-body --no-progress-meter ")
    said = subprocess.run(["bash", "-euc", script], env=environment, check=True, capture_output=True, text=True).stdout
    assert '"inserted":1' in said
    with connect(database) as connection:
        found = connection.execute("SELECT source_trade_id, name, pnl FROM trades JOIN bots USING (bot_id)")
        assert found.fetchall() == [("t-1", "grid-eth-01", 49.0)]  # 0.5 · (2100 - 2000) - 1
