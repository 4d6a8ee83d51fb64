"""What runs do to days, by the steps alone."""

from datetime import date, datetime

from knowdefeat_pipeline.steps import chain
from knowdefeat_pipeline.steps.beliefs import LearnedDays, WeighedDays, compute_beliefs, compute_strategy_weights
from knowdefeat_pipeline.steps.funds import AllocatedDays, compute_allocations
from knowdefeat_pipeline.steps.learning import WeightedDays, compute_weights
from knowdefeat_pipeline.steps.outcome import CheckResult, StepResult
from knowdefeat_pipeline.store.session import open_session
from knowdefeat_pipeline.store.staleness import BELIEFS, RANKING, settle, stale_days


def refresh(url: str, first: date, last: date, now: datetime) -> list[StepResult]:
    """The chain and the funds."""
    with open_session(url) as session:
        return chain.refresh(session, first, last, now)


def learn(url: str, first: date, last: date) -> tuple[LearnedDays, WeighedDays, AllocatedDays]:
    """Beliefs, the weights of strategies, and the funds, which may rest on beliefs."""
    with open_session(url) as session:
        results = (
            compute_beliefs(session, first, last),
            compute_strategy_weights(session, first, last),
            compute_allocations(session, first, last),
        )
    for result in results:
        result.require()
    return results


def allocate(url: str, first: date, last: date) -> AllocatedDays:
    """The funds alone, by the rankings that are there."""
    with open_session(url) as session:
        return compute_allocations(session, first, last)


def adjust(url: str, first: date, last: date, now: datetime) -> WeightedDays:
    """The learner is asked; days after a version that it publishes become stale."""
    with open_session(url) as session:
        return compute_weights(session, first, last, now, adjust=True)


def compute_stale(url: str, now: datetime, most: int = 4) -> None:
    """All that is stale, until nothing is: in at most so many rounds over the families."""
    with open_session(url) as session:
        for _ in range(most):
            if found := stale_days(session.connection, RANKING, now):
                chain.refresh(session, found.first, found.last, now)
            settle(session.connection, found)
            if found := stale_days(session.connection, BELIEFS, now):
                learn(url, found.first, found.last)
            settle(session.connection, found)
        assert not any(stale_days(session.connection, family, now) for family in (RANKING, BELIEFS))


def checks(results: list[StepResult]) -> dict[str, CheckResult]:
    """All checks of the steps by name."""
    return {check.name: check for result in results for check in result.checks}
