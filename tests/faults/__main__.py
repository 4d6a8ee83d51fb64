"""The matrix of faults, printed: `python -m tests.faults`, with parts of names of faults to inject only these.

It needs what the tests need: `make test`, or .venv/bin/python after it.

A row is one fault: what was injected and what happened then; how many trades that the server had acknowledged were lost
or counted twice in the end; which tables differ from a clean recomputation; what the user was told. All servers and
poolers are real and begun here; a fault that needs what is not installed, or may not be mounted, says so in its row.

Known limits:

- A process is killed where it calls a named function, not between any two of its instructions; `test_kills.py` kills at
  random instants, the server before it has written down what it acknowledged included.
- The machine itself never loses its power: the servers run with fsync off, and their files stay as they wrote them.
- The application's clock jumps, the database's does not: it is the machine's.
- The embedded server hangs where its recovery fails (see `EmbeddedPostgres`), and is then begun anew by the next command.
  A server of the user's own that hangs so has to be restarted by its administrator.
- A file that is being loaded by a process that was stopped (SIGSTOP) keeps other loads waiting, which say for whom: only
  runs and the live listener have a lease.
- An embedded server that has died is begun again by the next command or run, not by the live listener or by bots.
- A backup is restored into those of PostgreSQL 14 to 18 that are installed, fetched (python -m tests.postgres.versions) or
  named by KNOWDEFEAT_TEST_POSTGRESQL.
"""

import argparse
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.faults import Fault
    from tests.faults.matrix import Outcome

NOT_INJECTED = "not injected"
NEEDED = ("pytest", "hypothesis")  # of requirements-dev.lock, beside what the product needs


def main() -> None:
    """Inject them one after the other; exit status 1 where one does not come out as it must, 2 where nothing was asked
    that can be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Inject faults and print what came of each."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a part of the names of the faults to inject; all by default"
    )
    names = parser.parse_args().names
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        parser.error(
            f"{', '.join(missing)} not installed: the tests' requirements are needed. Run: make .venv/.installed-dev"
        )
    from tests.faults.faults import FAULTS

    chosen = [fault for fault in FAULTS if not names or any(part in fault.name for part in names)]
    if unknown := [part for part in names if not any(part in fault.name for fault in FAULTS)]:
        known = "\n  ".join(fault.name for fault in FAULTS)
        parser.error(f"no fault has {', '.join(unknown)} in its name. There are:\n  {known}")
    sys.exit(_inject_all(chosen))


def _inject_all(faults: "list[Fault]") -> int:
    """The exit status; a fault that could not be injected is neither passed nor failed."""
    from tests.faults.matrix import row
    from tests.faults.world import computed_fleet

    failed = skipped = 0
    print(row(None), flush=True)
    with computed_fleet() as computed:
        for fault in faults:
            outcome, shortcomings = _inject(fault, computed)
            failed += bool(shortcomings)
            skipped += outcome.happened.startswith(NOT_INJECTED)
            print(row(outcome), *(f"{fault.name}: {what}" for what in shortcomings), sep="\n", flush=True)
    print(
        f"{len(faults) - failed - skipped} of {len(faults)} came out as they must, {failed} did not, {skipped} not injected."
    )
    return int(failed > 0)


def _inject(fault: "Fault", computed: Path) -> "tuple[Outcome, list[str]]":
    """What came of it, and what of that did not come out as it must."""
    from tests.faults.matrix import CannotInject, Outcome

    try:
        outcome = fault.inject(computed)
    except CannotInject as why:
        return Outcome(fault.name, f"{NOT_INJECTED}: {why}", 0, 0, (), ""), []
    except Exception:  # noqa: BLE001 (the other faults are still injected)
        return Outcome(fault.name, "see below", 0, 0, (), ""), [traceback.format_exc()]
    return outcome, fault.shortcomings(outcome)


if __name__ == "__main__":
    main()
