"""Each fault of the matrix: nothing lost, nothing doubled, nothing half-written, and a remedy for the user.

Other tests kill the server, the live listener and runs while trades arrive (`tests/automation/test_kills.py`), and stop
the listener (`tests/automation/test_stopped_listener.py`). `python -m tests.faults` prints the matrix, with some
faults more.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from knowdefeat_pipeline.settings import ROOT
from tests.faults.__main__ import _inject_all
from tests.faults.faults import FAULTS, Fault
from tests.faults.matrix import CannotInject, Outcome, row
from tests.faults.world import computed_fleet


@pytest.fixture(scope="module")
def computed() -> Iterator[Path]:
    """The home of a computed fleet, to be copied."""
    with computed_fleet() as home:
        yield home


@pytest.mark.long
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.in_ci], ids=lambda fault: fault.name)
def test_nothing_is_lost_or_doubled_and_the_user_is_told_a_remedy(fault: Fault, computed: Path) -> None:
    try:
        outcome = fault.inject(computed)
    except CannotInject as why:
        pytest.skip(str(why))
    assert fault.shortcomings(outcome) == []


@pytest.mark.long
def test_the_program_takes_names_that_there_are_and_says_which() -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.faults", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert program("--help").returncode == 0
    unknown = program("disk", "nonsense")
    assert unknown.returncode == 2
    assert "no fault has nonsense in its name" in unknown.stderr
    assert FAULTS[0].name in unknown.stderr


def test_a_fault_that_cannot_be_injected_is_not_counted_as_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_disk(home: Path) -> Outcome:
        raise CannotInject("no disk")

    def fine(home: Path) -> Outcome:
        return Outcome("fine", "nothing", 0, 0, (), "")

    monkeypatch.setattr("tests.faults.world.computed_fleet", lambda: nullcontext(tmp_path))
    assert _inject_all([Fault(no_disk), Fault(fine, is_told=False)]) == 0
    assert capsys.readouterr().out.endswith("1 of 2 came out as they must, 0 did not, 1 not injected.\n")


def test_the_columns_of_the_matrix_are_aligned() -> None:
    disk = Outcome("a disk full", "kept " * 20, 0, 12, ("bot_metrics",), "free space " * 20)
    lines = "\n".join(map(row, (None, disk, Outcome("b", "", 1, 0, (), "")))).splitlines()
    doubled = lines[0].index("doubled")
    assert {line[doubled - 2 : doubled].strip() for line in lines} == {""}
    assert [line[doubled : doubled + 7].strip() for line in lines if line.startswith(("a ", "b "))] == ["12", "0"]


def test_of_a_long_message_the_beginning_and_the_end_are_shown() -> None:
    shown = row(Outcome("a", "", 0, 0, (), f"begin {'log ' * 1000}end."))
    assert "begin" in shown
    assert "end." in shown
    assert len(shown.split()) < 250
