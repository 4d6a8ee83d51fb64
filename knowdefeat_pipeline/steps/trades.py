"""Trades: counted day by day, and what the database enforces of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import pandas as pd

from knowdefeat_pipeline.core.schema import TRADE_DAY
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult
from knowdefeat_pipeline.store.arrivals import trade_facts
from knowdefeat_pipeline.store.session import Session

# What the database must enforce, row by row and at every write. To count the rows that break a rule which no row can
# break would read the whole table for nothing.
CONSTRAINTS = {
    "trades_closed_has_exit": "closed trades have an exit",
    "trades_source_key": "no trade of a source is recorded twice",
    "trades_pnl_agrees": "net pnl follows from prices, size and fees",
}
CHECKS = (
    CheckSpec("trades", "constraints_are_enforced", f"The database enforces that {', '.join(CONSTRAINTS.values())}."),
    CheckSpec(
        "trades",
        "reported_pnl_agrees",
        "What sources claimed agrees with the net pnl; where it does not, the computed figure is used.",
        blocking=False,
    ),
)


@dataclass(frozen=True)
class CountedTrades(StepResult):
    """A row per day with closed trades; `held`: refused rows that wait in quarantine."""

    held: int = 0

    @cached_property
    def counts(self) -> Mapping[date, int]:
        """How many trades closed on each day."""
        return dict(zip(self.rows["day"], self.rows["closed"].astype(int), strict=True))


def count_trades(session: Session, first: date, last: date) -> CountedTrades:
    """Count the closed trades of the days; writes nothing."""
    days, enforced, held = trade_facts(session.connection, first, last)
    rows = pd.DataFrame(days, columns=[figure.name for figure in TRADE_DAY])
    return CountedTrades("trades", first, last, rows, _checks(rows, enforced), held)


def _checks(rows: pd.DataFrame, enforced: set[str]) -> list[CheckResult]:
    disagreeing, reported = int(rows["disagreeing"].sum()), int(rows["reported"].sum())
    missing = {name: rule for name, rule in CONSTRAINTS.items() if name not in enforced}
    listed = "; ".join(f"{name} ({rule})" for name, rule in missing.items()) or "none"
    return [
        CheckResult("constraints_are_enforced", not missing, {"missing constraints": listed}),
        CheckResult(
            "reported_pnl_agrees",
            disagreeing == 0,
            {"disagreed and recomputed": disagreeing, "reported": reported},
            severity="WARN",
            description=f"{disagreeing:,} of the {reported:,} recorded pnl values disagreed and were recomputed",
        ),
    ]
