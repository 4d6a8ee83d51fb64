"""The matrix of faults, printed: `python -m tests.faults`, with parts of names of faults to inject only these."""

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
            outcome = _inject(fault, computed)
            failed |= outcome is None or bool(outcome.lost or outcome.doubled or outcome.differing)
            print(row(outcome or Outcome(fault.name, "FAILED, see above", 0, 0, (), "")), flush=True)
    sys.exit(failed)


def _inject(fault: Fault, computed: Path) -> Outcome | None:
    try:
        return fault.inject(computed)
    except CannotInject as why:
        return Outcome(fault.name, f"not injected: {why}", 0, 0, (), "")
    except Exception:  # noqa: BLE001 (the other faults are still injected)
        traceback.print_exc()
        return None


main()
