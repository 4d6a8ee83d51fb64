"""The arrows of the house: which room may import which, and what may not be loaded at the start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT

PACKAGE = ROOT / "knowdefeat_pipeline"
ABOVE = {"cli", "api", "dashboard", "automation", "assets", "build", "definitions"}
FORBIDDEN = {
    "core": ABOVE | {"store", "sources", "settings"},
    "sources": ABOVE | {"store"},
    "store": ABOVE,
    "assets": ABOVE - {"assets"},
    "automation": {"cli", "api", "dashboard", "build", "definitions"},
}
FOREIGN = {
    "core": {"dagster", "psycopg", "sqlalchemy", "adbc_driver_postgresql", "pgpq", "typer", "rich"},
    "sources": {"dagster", "psycopg", "sqlalchemy", "adbc_driver_postgresql"},
    "store": {"dagster", "typer"},
    "assets": {"typer", "rich"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rooms(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("knowdefeat_pipeline.")}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_arrows_point_down(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    offending = {
        str(path.relative_to(PACKAGE)): sorted(rooms(imports(path)) & FORBIDDEN[room])
        for path in files
        if rooms(imports(path)) & FORBIDDEN[room]
    }
    assert offending == {}


@pytest.mark.parametrize("room", sorted(FOREIGN))
def test_rooms_keep_foreign_libraries_out(room: str) -> None:
    offending = {
        str(path.relative_to(PACKAGE)): sorted(found)
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if (found := {name.split(".")[0] for name in imports(path)} & FOREIGN[room])
    }
    assert offending == {}


def test_every_package_says_what_belongs_there() -> None:
    packages = sorted(PACKAGE.rglob("__init__.py"))
    assert [str(p) for p in packages if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))] == []


def test_core_never_reads_the_clock() -> None:
    calls = {"datetime.now", "datetime.utcnow", "date.today", "time.time", "Timestamp.now", "Timestamp.utcnow"}
    offending = [
        f"{path.name}:{node.lineno}"
        for path in sorted((PACKAGE / "core").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and any(ast.unparse(node.func).endswith(call) for call in calls)
    ]
    assert offending == []


def test_definitions_load_in_a_fresh_interpreter_without_learning_or_plotting_libraries() -> None:
    program = (
        "import sys, knowdefeat_pipeline.definitions as d; d.defs.resolve_job_def('refresh'); "
        "print(sorted({'sklearn', 'scipy.special', 'matplotlib', 'plotly', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
