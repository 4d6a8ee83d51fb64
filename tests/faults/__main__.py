"""The matrix of faults, printed: `python -m tests.faults`, with parts of names of faults to inject only these.

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
- A run that was stopped (SIGSTOP) keeps its days until it goes on or is killed: others wait for it. Only the live
  listener has a lease.
- An embedded server that has died is begun again by the next command or run, not by the live listener or by bots.
- A backup is restored into those of PostgreSQL 14 to 18 that are installed, or that KNOWDEFEAT_TEST_POSTGRESQL names.
"""

import sys
import traceback
from pathlib import Path

from tests.faults.faults import FAULTS, Fault
from tests.faults.matrix import CannotInject, Outcome, row
from tests.faults.world import computed_fleet


def main() -> None:
    """Inject them one after the other; exit status 1 where one does not come out as it must."""
    failed = False
    print(row(None), flush=True)
    with computed_fleet() as computed:
        for fault in FAULTS:
            if sys.argv[1:] and not any(part in fault.name for part in sys.argv[1:]):
                continue
            outcome, shortcomings = _inject(fault, computed)
            failed |= bool(shortcomings)
            print(row(outcome), *(f"{fault.name}: {what}" for what in shortcomings), sep="\n", flush=True)
    sys.exit(failed)


def _inject(fault: Fault, computed: Path) -> tuple[Outcome, list[str]]:
    """What came of it, and what of that did not come out as it must."""
    try:
        outcome = fault.inject(computed)
    except CannotInject as why:
        return Outcome(fault.name, f"not injected: {why}", 0, 0, (), ""), []
    except Exception:  # noqa: BLE001 (the other faults are still injected)
        return Outcome(fault.name, "see below", 0, 0, (), ""), [traceback.format_exc()]
    return outcome, fault.shortcomings(outcome)


main()
