"""Funds: `fund_allocations`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from knowdefeat_pipeline.core.funds.daily import Division, breaches, divide_days
from knowdefeat_pipeline.core.funds.settings import FundSettings
from knowdefeat_pipeline.steps.outcome import CheckResult, CheckSpec, StepResult
from knowdefeat_pipeline.store.fund_division import fund_inputs, write_division
from knowdefeat_pipeline.store.session import Session

CHECKS = (
    CheckSpec("fund_allocations", "no_amount_is_negative", "Every bot is given 0 or more."),
    CheckSpec(
        "fund_allocations",
        "no_cap_is_broken",
        "No bot and no ticker holds more than its share of the funds, and none a smaller ticket than the minimum.",
    ),
    CheckSpec("fund_allocations", "amounts_and_cash_sum_to_the_funds", "Of every day and currency, to the cent."),
    CheckSpec(
        "fund_allocations",
        "only_ranked_active_bots_are_funded",
        "Inactive, halted, unranked and doubtful bots are given nothing, nor are those without a target.",
    ),
)


@dataclass(frozen=True)
class AllocatedDays(StepResult):
    """What each bot is given; `division` holds the days' totals and the risk rules' decisions, `settings` what was in
    force."""

    division: Division = field(kw_only=True)
    settings: Sequence[FundSettings] = ()


def compute_allocations(
    session: Session, first: date, last: date, ranked: StepResult | None = None, judged: StepResult | None = None
) -> AllocatedDays:
    """Replace the allocations of the days first..last that have a ranking.

    `ranked`, `judged`: their rankings and their skill, by whoever has just written these; what is recorded of them is
    read by default.
    """
    inputs, own = fund_inputs(
        session, first, last, ranked=ranked.marks if ranked else None, judged=judged.marks if judged else None
    )
    division = divide_days(inputs)
    recorded = write_division(session.connection, first, last, division, own)
    return AllocatedDays(
        "fund_allocations",
        first,
        last,
        division.rows,
        _checks(division, inputs.settings),
        division=division,
        settings=inputs.settings,
        marks=recorded,
    )


def _checks(division: Division, settings: Sequence[FundSettings]) -> list[CheckResult]:
    if division.days.empty:  # no funds are set, and so no rule can be broken
        return [CheckResult(spec.name, True) for spec in CHECKS]
    return [CheckResult(found.rule, found.broken == 0, dict(found.figures)) for found in breaches(division, settings)]
