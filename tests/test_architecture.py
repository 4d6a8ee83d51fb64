"""The arrows of the house: which room may import which, and what may not be loaded at the start."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT

PACKAGE = ROOT / "knowdefeat_pipeline"
NAME = PACKAGE.name

# What each room may import besides itself. Arrows point down; `cli` and `web` never meet.
EVERY = {
    "core",
    "postgres",
    "scale",
    "sources",
    "store",
    "steps",
    "assets",
    "automation",
    "build",
    "settings",
    "errors",
}
ROOMS = {
    "errors": set(),
    "settings": {"errors"},
    "core": {"errors"},
    "postgres": {"core", "settings", "errors"},
    "sources": {"core", "errors"},
    "scale": {"core", "postgres", "settings", "errors"},
    "store": {"core", "postgres", "scale", "sources", "settings", "errors"},
    "steps": {"core", "postgres", "scale", "sources", "store", "settings", "errors"},
    "assets": {"core", "postgres", "scale", "sources", "store", "steps", "settings", "errors"},
    "automation": {"core", "postgres", "scale", "sources", "store", "steps", "assets", "settings", "errors"},
    "build": EVERY - {"build"},
    "definitions": {"build"},
    "cli": EVERY | {"definitions"},
    "web": EVERY | {"definitions"},
}
MAY_USE_DAGSTER = {"automation", "assets", "build", "definitions"}
INTERNALS = PACKAGE / "automation" / "dagster_internals"
FOREIGN = {
    "core": {"psycopg", "sqlalchemy", "adbc_driver_postgresql", "pgpq", "typer", "rich", "fastapi", "starlette"},
    "sources": {"psycopg", "sqlalchemy", "adbc_driver_postgresql", "typer", "rich"},
    "scale": {"typer", "rich"},
    "store": {"typer", "rich"},
    "steps": {"typer", "rich"},
    "assets": {"typer", "rich"},
}

# The subjects of core, each with those whose figures it rests on.
SUBJECTS = {
    "units": set(),
    "escaping": set(),
    "amounts": {"units"},
    "recurrence": {"units"},
    "money": set(),
    "wording": set(),
    "schema": set(),
    "rows": {"units"},
    "trades": {"recurrence", "units"},
    "market": {"units"},
    "ranking": {"schema", "rows", "units"},
    "metrics": {"schema", "trades", "rows", "units"},
    "beliefs": {"recurrence", "schema", "market", "units"},
    "learning": {"schema", "ranking", "units"},
    "skill": {"schema", "trades", "metrics", "market", "units"},
    "decisions": {"schema", "beliefs", "units"},
    "funds": {"money", "schema", "trades", "metrics", "learning", "units"},
    "simulation": {"schema", "trades", "metrics", "market", "ranking", "beliefs", "units"},
}


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def files(room: str) -> list[Path]:
    """The files of a room, which is a folder or a module; none where it is not built yet."""
    module = PACKAGE / f"{room}.py"
    return [module] if module.exists() else sorted((PACKAGE / room).rglob("*.py"))


def neighbours(path: Path, prefix: str = NAME) -> set[str]:
    """Which of the rooms (or subjects) below `prefix` a file imports."""
    depth = prefix.count(".") + 1
    return {name.split(".")[depth] for name in imports(path) if name.startswith(f"{prefix}.")}


def offenders(paths: Iterable[Path], forbidden: set[str], prefix: str = NAME) -> dict[str, list[str]]:
    """The files that import what they may not, and what."""
    found = {str(path.relative_to(PACKAGE)): sorted(neighbours(path, prefix) & forbidden) for path in paths}
    return {name: rooms for name, rooms in found.items() if rooms}


def test_every_room_is_known() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert rooms - {"__init__", "__pycache__", *ROOMS} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_down(room: str) -> None:
    assert offenders(files(room), ROOMS.keys() - ROOMS[room] - {room}) == {}


@pytest.mark.parametrize("room", FOREIGN)
def test_rooms_keep_foreign_libraries_out(room: str) -> None:
    found = {
        str(path.relative_to(PACKAGE)): sorted({name.split(".")[0] for name in imports(path)} & FOREIGN[room])
        for path in files(room)
    }
    assert {name: libraries for name, libraries in found.items() if libraries} == {}


def test_dagster_stays_at_the_edge() -> None:
    rooms = [room for room in ROOMS if room not in MAY_USE_DAGSTER]
    found = [
        str(path.relative_to(PACKAGE))
        for room in rooms
        for path in files(room)
        if any(name.split(".")[0].startswith("dagster") for name in imports(path))
    ]
    assert found == []


def test_only_dagster_internals_uses_what_dagster_keeps_private() -> None:
    found = {
        str(path.relative_to(PACKAGE)): private
        for path in sorted(PACKAGE.rglob("*.py"))
        if INTERNALS not in path.parents
        and (private := sorted(name for name in imports(path) if name.startswith("dagster._")))
    }
    assert found == {}


def subject_of(path: Path) -> str:
    return path.relative_to(PACKAGE / "core").parts[0].removesuffix(".py")


def core_files() -> list[Path]:
    return [path for path in files("core") if subject_of(path) != "__init__"]


def test_every_subject_of_core_is_known() -> None:
    assert {subject_of(path) for path in core_files()} - SUBJECTS.keys() == set()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_arrows_inside_core(subject: str) -> None:
    paths = [path for path in core_files() if subject_of(path) == subject]
    assert offenders(paths, SUBJECTS.keys() - SUBJECTS[subject] - {subject}, f"{NAME}.core") == {}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """What is left of a graph when all that rests on nothing left is taken away: nothing, unless there is a circle."""
    left = dict(graph)
    while free := [name for name, below in left.items() if not below & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_the_subjects_of_core_form_no_circle() -> None:
    graph: dict[str, set[str]] = {subject: set() for subject in SUBJECTS}
    for path in core_files():
        graph[subject_of(path)] |= neighbours(path, f"{NAME}.core") - {subject_of(path)}
    assert circle(graph) == []
    assert circle(SUBJECTS) == []
    assert circle(ROOMS) == []


def test_the_modules_of_core_form_no_circle() -> None:
    modules = {f"{NAME}.{'.'.join(path.relative_to(PACKAGE).with_suffix('').parts)}": path for path in core_files()}
    assert circle({name: imports(path) & (modules.keys() - {name}) for name, path in modules.items()}) == []


def test_every_package_says_what_belongs_there() -> None:
    packages = sorted(PACKAGE.rglob("__init__.py"))
    assert [str(p) for p in packages if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))] == []


def test_core_never_reads_the_clock() -> None:
    calls = {"datetime.now", "datetime.utcnow", "date.today", "time.time", "Timestamp.now", "Timestamp.utcnow"}
    found = [
        f"{path.name}:{node.lineno}"
        for path in files("core")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and any(ast.unparse(node.func).endswith(call) for call in calls)
    ]
    assert found == []


LEARNING = ("sklearn", "scipy.special", "scipy.cluster", "matplotlib", "plotly", "PIL")
FRAMES = ("pandas", "pyarrow", "pgpq")
"""100 MB that the process of the pages, which reads rows, does not pay: what needs them loads them when it begins."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import sys, knowdefeat_pipeline.definitions as d; d.defs.resolve_job_def('refresh'); ", LEARNING),
        ("import sys, knowdefeat_pipeline.web.serve; ", (*LEARNING, *FRAMES, "dagster", "sqlalchemy")),
    ],
    ids=["definitions", "pages"],
)
def test_a_program_starts_without_libraries_that_it_may_not_need(program: str, heavy: tuple[str, ...]) -> None:
    started = [sys.executable, "-c", f"{program}print(sorted(set({heavy!r}) & set(sys.modules)))"]
    done = subprocess.run(started, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
