"""The matrix of faults, printed: `python -m tests.faults`, with parts of names of faults to inject only these."""

import sys
import traceback

from tests.faults.faults import FAULTS
from tests.faults.matrix import CannotInject, Outcome, table
from tests.faults.world import computed_fleet


def main() -> None:
    """Inject them one after the other; exit status 1 where one does not come out as it must."""
    outcomes, failed = [], False
    with computed_fleet() as computed:
        for fault in FAULTS:
            name = fault.name
            if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
                continue
            try:
                outcome = fault.inject(computed)
                failed |= bool(outcome.lost or outcome.doubled or outcome.differing)
            except CannotInject as why:
                outcome = Outcome(name, f"not injected: {why}", 0, 0, (), "")
            except Exception:  # noqa: BLE001 (the other faults are still injected)
                traceback.print_exc()
                outcome, failed = Outcome(name, "FAILED, see above", 0, 0, (), ""), True
            outcomes.append(outcome)
    print(table(outcomes))
    sys.exit(failed)


main()
