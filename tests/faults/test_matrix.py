"""Each fault of the matrix: nothing lost, nothing doubled, nothing half-written, and a remedy for the user.

Other tests kill the server, the live listener and runs while trades arrive (`tests/automation/test_kills.py`), and stop
the listener (`tests/automation/test_stopped_listener.py`). `python -m tests.faults` prints the matrix, with some
faults more.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS, Fault
from tests.faults.matrix import CannotInject, Outcome, row
from tests.faults.world import computed_fleet


@pytest.fixture(scope="module")
def computed() -> Iterator[Path]:
    """The home of a computed fleet, to be copied."""
    with computed_fleet() as home:
        yield home


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.in_ci], ids=lambda fault: fault.name)
def test_nothing_is_lost_or_doubled_and_the_user_is_told_a_remedy(fault: Fault, computed: Path) -> None:
    try:
        outcome = fault.inject(computed)
    except CannotInject as why:
        pytest.skip(str(why))
    assert fault.shortcomings(outcome) == []


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
