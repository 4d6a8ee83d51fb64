"""The whole chain for a range of days in one transaction, as the live listener computes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeVar

from knowdefeat_pipeline.steps.funds import compute_allocations
from knowdefeat_pipeline.steps.learning import compute_weights
from knowdefeat_pipeline.steps.metrics import compute_metrics, compute_streaks
from knowdefeat_pipeline.steps.outcome import StepResult
from knowdefeat_pipeline.steps.ranking import compute_rankings
from knowdefeat_pipeline.steps.skill import compute_skill
from knowdefeat_pipeline.steps.trades import count_trades
from knowdefeat_pipeline.store.locks import days_locked
from knowdefeat_pipeline.store.session import Session

Result = TypeVar("Result", bound=StepResult)


def refresh(session: Session, first: date, last: date, now: datetime) -> list[StepResult]:
    """Compute trades, metrics, streaks, rankings, skill, weights and allocations of the days first..last, with checks.

    One transaction: a check that fails rolls all of it back and publishes nothing. Nobody else computes one of the days
    meanwhile. Raises CheckFailed.
    """
    with days_locked(session.connection, first, last):
        return refresh_locked(session, first, last, now)


def refresh_locked(session: Session, first: date, last: date, now: datetime) -> list[StepResult]:
    """As `refresh`, by whoever has the days locked. What a step has computed is handed on to those that read it."""
    session.begin(first)
    with session.connection.transaction():
        return [
            _passed(count_trades(session, first, last)),
            metrics := _passed(compute_metrics(session, first, last, now)),
            _passed(compute_streaks(session, first, last, metrics)),
            ranked := _passed(compute_rankings(session, first, last, metrics)),
            judged := _passed(compute_skill(session, first, last, metrics)),
            _passed(compute_weights(session, first, last, now, ranked=ranked)),
            _passed(compute_allocations(session, first, last, ranked, judged)),
        ]


def _passed(result: Result) -> Result:
    """The result, if its checks passed: what rests on it is not computed otherwise."""
    result.require()
    return result
