"""The examples of docs/api.md that bring trades do what they say, with curl and Python, against the served program."""

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
