"""The checks of a run: how many passed, and those that did not."""

from __future__ import annotations

from collections.abc import Sequence

from knowdefeat_pipeline.cli.views.output import Record, out
from knowdefeat_pipeline.cli.views.tables import number


def show_checks(checks: Sequence[Record]) -> None:
    """How many passed, and those that did not."""
    passed = sum(check["passed"] for check in checks)
    out.print(f"{number(passed)} of {number(len(checks))} checks passed.")
    for check in checks:
        if not check["passed"]:
            out.print(f"  {check['asset']}: {check['description'] or check['check']}", style="yellow")
