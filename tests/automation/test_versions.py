"""The part of the suite that rests on Dagster, on the oldest and the newest version that pyproject.toml admits.

Left out of the default run, as an environment is installed for it: make test-dagster-versions. All other packages are
those of the lock, so that what fails is Dagster's.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT
from tests.environments import DEPENDENCIES, empty_environment, install, locked, lowest, run

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
RANGES = [requirement for requirement in DEPENDENCIES if requirement.startswith("dagster")]
OLDEST = lowest(RANGES)
OTHERS = [pin for pin in locked() if not pin.startswith("dagster")]

pytestmark = pytest.mark.versions


def test_what_is_tested_is_there() -> None:
    assert [name for name in TESTED if not (ROOT / name).exists()] == []


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    """The interpreter of an environment with everything that the package needs."""
    with empty_environment() as python:
        install(python, [*DEPENDENCIES, *TOOLS], OTHERS)
        yield python


@pytest.mark.parametrize(("end", "requirements"), [("oldest", OLDEST), ("newest", RANGES)])
def test_the_suite_passes(python: Path, end: str, requirements: list[str]) -> None:
    install(python, requirements, OTHERS)
    version = run(python, "-c", "import dagster; print(dagster.__version__)").strip()
    if end == "newest" and f"dagster=={version}" in OLDEST:
        pytest.skip(f"{version} is the only version that the range admits")
    summary = run(python, "-m", "pytest", "-m", "not versions", *TESTED, PYTHONPATH=str(ROOT)).splitlines()[-1]
    assert re.match(r"\d+ passed", summary), f"Dagster {version}: {summary}"
