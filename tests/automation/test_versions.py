"""The part of the suite that rests on Dagster, on the oldest and the newest version that pyproject.toml admits.

Left out of the default run, as an environment is installed for it: make test-dagster-versions. All other packages are
those of the lock, so that what fails is Dagster's.
"""

import os
import re
import subprocess
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT

TESTED = (
    "tests/automation/dagster_internals",
    "tests/automation/test_live_report.py",
    "tests/automation/test_maintenance.py",
    "tests/automation/test_runs.py",
    "tests/automation/test_schedules.py",
    "tests/automation/sensors/test_failures.py",
    "tests/automation/sensors/test_new_trades.py",
    "tests/assets/test_audit.py",
    "tests/assets/test_catalogue.py",
)
TOOLS = ("pytest", "hypothesis")
DEPENDENCIES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
RANGES = [requirement for requirement in DEPENDENCIES if requirement.startswith("dagster")]
OLDEST = [re.sub(r">=([^,]+),.*", r"==\1", requirement) for requirement in RANGES]

pytestmark = pytest.mark.versions


def test_what_is_tested_is_there() -> None:
    assert [name for name in TESTED if not (ROOT / name).exists()] == []


def locked() -> list[str]:
    """What the lock pins, without hashes and extras, and without Dagster's own packages."""
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum() and not line.startswith("dagster")]
    return [re.sub(r"\[.*?\]", "", pin) for pin in pins]


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """The interpreter of an environment with everything that the package needs."""
    # Not in pytest's own folder: the session in here, like any other, clears away those of earlier sessions.
    with tempfile.TemporaryDirectory(prefix="knowdefeat-versions-") as name:
        folder = Path(name)
        (folder / "locked.txt").write_text("\n".join(locked()))
        venv.create(folder / "venv", with_pip=True, symlinks=True)
        python = folder / "venv" / "bin" / "python"
        install(python, [*DEPENDENCIES, *TOOLS])
        yield python


def install(python: Path, requirements: list[str]) -> None:
    constraints = python.parents[2] / "locked.txt"
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", "--constraint", constraints, *requirements)


@pytest.mark.parametrize(("end", "requirements"), [("oldest", OLDEST), ("newest", RANGES)])
def test_the_suite_passes(python: Path, end: str, requirements: list[str]) -> None:
    install(python, requirements)
    version = run(python, "-c", "import dagster; print(dagster.__version__)").strip()
    if end == "newest" and f"dagster=={version}" in OLDEST:
        pytest.skip(f"{version} is the only version that the range admits")
    summary = run(python, "-m", "pytest", *TESTED, PYTHONPATH=str(ROOT)).splitlines()[-1]
    assert re.match(r"\d+ passed", summary), f"Dagster {version}: {summary}"
