"""What pyproject.toml admits, at both ends of every range: the mathematics' tests, and a run from nothing to a ranking.

Left out of the default run, as environments are installed for it: make test-dependency-ranges. What our packages need
themselves is the newest in both.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from knowdefeat_pipeline.settings import ROOT
from tests.environments import DEPENDENCIES, PROJECT, empty_environment, install, locked, lowest, run

EXTRAS = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
RANGES = [*DEPENDENCIES, *EXTRAS]
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "empyrical-reloaded", "purgedcv", "statsmodels")
TOOLS_OF_THE_LOCK = [pin for pin in locked() if Requirement(pin).name in TOOLS]

pytestmark = pytest.mark.versions


def test_every_range_has_two_ends_and_the_lock_lies_within() -> None:
    pinned = {Requirement(pin).name: Version(next(iter(Requirement(pin).specifier)).version) for pin in locked()}
    for requirement in map(Requirement, RANGES):
        assert sorted(bound.operator for bound in requirement.specifier) == ["<", ">="], requirement
        assert pinned[requirement.name] in requirement.specifier


@pytest.fixture(scope="module", params=["lowest", "newest"])
def python(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The interpreter of an environment with the one end of every range."""
    with empty_environment() as python:
        install(python, lowest(RANGES) if request.param == "lowest" else RANGES, TOOLS_OF_THE_LOCK)
        # The tools come after: of what they share with the product, that keeps its version.
        installed = run(python, "-m", "pip", "freeze").splitlines()
        install(python, [*TOOLS], [*TOOLS_OF_THE_LOCK, *installed])
        run(python, "-m", "pip", "check")
        yield python


def test_the_mathematics_holds(python: Path) -> None:
    summary = run(python, "-m", "pytest", "-m", "", "-n", "0", "tests/core", PYTHONPATH=str(ROOT)).splitlines()[-1]
    assert re.match(r"\d+ passed", summary), summary


def test_a_run_ends_with_a_ranking(python: Path) -> None:
    program = "from knowdefeat_pipeline.cli import main; main()"
    with tempfile.TemporaryDirectory(prefix="knowdefeat-") as home:

        def knowdefeat(*words: str) -> str:
            return run(python, "-c", program, *words, PYTHONPATH=str(ROOT), KNOWDEFEAT_HOME=home)

        try:
            knowdefeat("run")
            ranks = [row["rank"] for row in json.loads(knowdefeat("rankings", "--json"))]
            ranked = [rank for rank in ranks if rank is not None]  # a bot with few trades has none
            assert len(ranks) == 24
            assert ranked == [*range(1, len(ranked) + 1)]
            assert len(ranked) >= 20
            knowdefeat("doctor")  # ends with 1 where something fails
        finally:
            knowdefeat("db", "stop")
