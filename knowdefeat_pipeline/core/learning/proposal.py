"""What the daily adjustment proposes for a day, given the weights in force: new ones, or why they stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from knowdefeat_pipeline.core.learning.evidence import evidence
from knowdefeat_pipeline.core.learning.learner import MIN_BOTS, TRIAL_DAYS, WeightHistory, step
from knowdefeat_pipeline.core.schema.variables import VARIABLE, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats

ProposalOutcome = Literal["published", "unchanged", "gate_closed", "frozen", "disabled", "refused"]
NAMED_CHANGES = 3


@dataclass(frozen=True)
class Proposal:
    """What becomes of a day. `weights`: the 19 in force from its as_of, None where those in force stay.

    `evidence`: plain values for JSON, the change of each variable against the weights in force among them.
    """

    outcome: ProposalOutcome
    reason: str
    weights: Floats | None
    evidence: dict[str, Any]


def propose(learned: WeightHistory, as_of: int, in_force: Floats, anchor: Floats) -> Proposal:
    """One step from the weights in force toward what was learned by `as_of` (µs), an as_of of the history or not.

    While the trial is lost the step leads back to the anchor weights, those by which the history was learned: those
    that a person set last, the default ones if nobody did.
    """
    day = int(np.searchsorted(learned.as_of, as_of))
    if day == len(learned.as_of) or learned.as_of[day] != as_of:
        return Proposal("frozen", f"no figures of ranked bots at the end of this day, {MIN_BOTS} bots needed", None, {})
    known = learned.up_to(day)
    figures: dict[str, Any] = evidence(known).record() | {"gate_open": bool(known.gate_open[day])}
    refusal = known.reason[day]
    if refusal is not None:
        return Proposal("frozen", refusal, None, figures | {"change": _by_name(np.zeros(len(in_force)))})
    moved = step(in_force, known.target[day] if known.gate_open[day] else anchor)
    change = np.round(moved - in_force, 1)
    figures |= {"change": _by_name(change)}
    keeps_up = "keeps up with" if known.gate_open[day] else "is behind"
    where = "both rank IC and money" if known.gate_open[day] else "rank IC or money"
    verdict = f"the learner {keeps_up} the anchor weights in {where}{_over(known)}"
    if change.any():
        way = "toward what was learned" if known.gate_open[day] else "back"
        moves = f"{np.abs(change).sum():.1f} points {way} ({_largest(change)})"
        return Proposal("published", f"{moves}: {verdict}", moved, figures)
    outcome: ProposalOutcome = "unchanged" if known.gate_open[day] else "gate_closed"
    return Proposal(outcome, f"nothing to move: {verdict}", None, figures)


def _over(known: WeightHistory) -> str:
    ic, money = (lead[known.settled][-TRIAL_DAYS:] for lead in (known.lead, known.lead_money))
    if not len(ic):
        return ""
    return f" ({ic.mean():+.3f} and {money.mean():+.3f} of a day's volatility over the last {len(ic)} settled days)"


def _largest(change: Floats) -> str:
    order = np.argsort(-np.abs(change), kind="stable")[:NAMED_CHANGES]
    moved = [(VARIABLE[VARIABLE_NAMES[number]].label, change[number]) for number in order if change[number]]
    return ", ".join(f"{label} {points:+.1f}" for label, points in moved)


def _by_name(values: Floats) -> dict[str, float]:
    return dict(zip(VARIABLE_NAMES, values.tolist(), strict=True))
