"""The examples of docs/api.md and docs/start/http.md that bring trades do what they say, against the served program."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import create_server

import pytest

from knowdefeat_pipeline.postgres.connection import connect
from knowdefeat_pipeline.settings import ROOT
from knowdefeat_pipeline.store.tokens import new_token
from tests.web.conftest import await_answer, environment_of
from tests.web.test_ingestion import CSV

DOCUMENTED = "http://127.0.0.1:3000"
SHELL, PYTHON = (
    re.search(rf"### Bringing trades.*?```{kind}\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S)
    for kind in ("sh", "python")
)


@pytest.fixture
def address(database: str, tmp_path: Path) -> Iterator[str]:
    """Where the program of the pages serves a fresh database."""
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
