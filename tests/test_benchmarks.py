"""Benchmarks run by hand: that the names which they import are there is held here."""

import ast
import importlib.util
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT

PROGRAMS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "scripts").glob("*.py")])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_every_name_that_is_imported_is_there(program: Path) -> None:
    absent = []
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("knowdefeat_pipeline"):
            module = importlib.import_module(node.module)
            names = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            absent += [name for name in names if importlib.util.find_spec(f"{node.module}.{name}") is None]
    assert absent == []
