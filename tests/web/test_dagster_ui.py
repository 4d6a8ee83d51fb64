"""Dagster's UI by itself: the guarded program listens on loopback alone, and the stock one is given no database."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT


def program(module: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """What the program said, and how it ended."""
    # No server is there: a program that went on would say so.
    address = {"KNOWDEFEAT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    environment = os.environ | {"DAGSTER_HOME": str(ROOT), "KNOWDEFEAT_HOME": str(home)} | address
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.long
def test_the_stock_web_server_is_refused_with_the_program_to_take_instead(tmp_path: Path) -> None:
    done = program("dagster_webserver", "-w", "workspace.yaml", "-p", "3917", home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Dagster's own web server lets any web page that you visit start runs")
    assert done.stderr.strip().endswith("python -m knowdefeat_pipeline.web.dagster_ui --port 3000")
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_guarded_program_listens_on_no_address_that_others_reach(tmp_path: Path) -> None:
    done = program("knowdefeat_pipeline.web.dagster_ui", "--port", "3917", "--host", "0.0.0.0", home=tmp_path)
    assert done.returncode == 2
    assert "0.0.0.0 is no loopback address" in done.stderr
