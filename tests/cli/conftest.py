"""The command line as tests use it: in this process, on a real database."""

import json
import sys
from pathlib import Path

import pytest

from knowdefeat_pipeline.cli import main


class Shell:
    """Runs `knowdefeat` in this process; what it printed, and how it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str) -> None:
        self.monkeypatch, self.capsys, self.database = monkeypatch, capsys, database

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
def new_shell(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    """`knowdefeat` over a database without any table."""
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", empty_database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys, empty_database)


@pytest.fixture
def shell(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("KNOWDEFEAT_DATABASE_URL", database)
    monkeypatch.setenv("KNOWDEFEAT_HOME", str(tmp_path / "home"))
    return Shell(monkeypatch, capsys, database)
