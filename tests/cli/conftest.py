"""The command line in this process, over a database of its own."""

import json
import sys
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli import main


class Shell:
    """Runs `knowdefeat` in this process; what it printed, and how it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, status: int = 0) -> str:
        self.monkeypatch.setattr(sys, "argv", ["knowdefeat", *map(str, arguments)])
        self.capsys.readouterr()
        ended = 0
        try:
            main()
        except SystemExit as done:
            ended = done.code or 0
        self.output, self.errors = self.capsys.readouterr()
        assert ended == status, self.output + self.errors
        return self.output if status == 0 else self.errors

    def json(self, *arguments: object) -> object:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def shell(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys)
