"""One run of a job over a range of days, in this process and recorded in the instance like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import dagster as dg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from knowdefeat_pipeline.assets.tags import REPOSITORY, range_tags
from knowdefeat_pipeline.automation.jobs import ADJUSTING, adjust_weights, audit, market
from knowdefeat_pipeline.errors import Interrupted, KnowDefeatError
from knowdefeat_pipeline.postgres.remedies import remedy, remedy_of
from knowdefeat_pipeline.settings import Settings

Progress = Callable[[str], None]

# The drivers' errors where a session ends within a step, as Dagster names them, and what to do then.
ENDED = ("AdminShutdown", "CrashShutdown", "OperationalError", "InterfaceError")
LOST = (
    "The connection to the database was lost, and what the step had not finished is undone. See that the server runs "
    "(knowdefeat db status), then run the command again."
)


STOPPED = "Stopped. What was published before stays; run it again to compute the rest."
INTERRUPT = "DagsterExecutionInterruptedError"  # what SIGINT and SIGTERM become within a run


class RunFailed(KnowDefeatError):
    """A run that did not end well: which step, why, and where to read more."""

    page = "operations.md#what-failures-look-like"


@dataclass(frozen=True)
class Outcome:
    """A finished run: its id and its checks as records (asset, check, passed, severity, description, metadata)."""

    run_id: str
    checks: list[dict[str, Any]]


def refresh_days(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
    job: str = "refresh",
) -> Outcome:
    """Materialise a job's assets for first..last in one run.

    `progress` hears of every asset when it is done. Raises RunFailed; what finished before the failure stays.
    """
    return _execute(definitions, job, instance, first, last, progress, tags)


def adjust_days(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Adjust the weights for first..last in one run, all of it or, where it raises RunFailed, nothing."""
    return _execute(definitions, adjust_weights.name, instance, first, last, progress, tags, ADJUSTING)


def market_days(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    progress: Progress | None = None,
) -> Outcome:
    """Materialise the market's assets for first..last in one run, like `refresh_days`."""
    return _execute(definitions, market.name, instance, first, last, progress)


def audit_days(definitions: dg.Definitions, instance: dg.DagsterInstance, first: date, last: date) -> Outcome:
    """Audit what is stored of first..last in one run. A check that fails is in the Outcome and raises nothing."""
    return _execute(definitions, audit.name, instance, first, last)


def _execute(
    definitions: dg.Definitions,
    job: str,
    instance: dg.DagsterInstance,
    first: date,
    last: date,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, Any] = MappingProxyType({}),
) -> Outcome:
    run_id = str(uuid4())
    if progress:
        instance.add_event_listener(run_id, lambda entry: _tell(entry, progress))
    try:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            # Events are stored and shown in the UI; a terminal hears of progress instead.
            run_config={**config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={**range_tags(first, last), REPOSITORY: _repository(), **(tags or {})},
        )
    except DBAPIError as error:  # the instance's events are stored in the same server
        advice = remedy_of(error.orig or error)
        if advice is None and not isinstance(error, (OperationalError, InterfaceError)):
            raise
        raise RunFailed(
            f"The database did not answer during run {run_id}: {error.orig}\nWhat was published before stays. "
            f"{advice or 'Start it again once the database is up (knowdefeat doctor).'}"
        ) from error
    except dg.DagsterExecutionInterruptedError:
        raise Interrupted(STOPPED) from None
    checks = [_check(evaluation) for evaluation in result.get_asset_check_evaluations()]
    if not result.success and _was_interrupted(result):
        raise Interrupted(STOPPED)
    if not result.success:
        raise RunFailed(_why(result, checks))
    return Outcome(run_id, checks)


def _repository() -> str:
    """The UI lists the runs of a job by this tag, which a run in this process has not by itself."""
    return f"__repository__@{Settings.from_environment().code_location}"


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error and INTERRUPT in (error.cls_name, error.cause and error.cause.cls_name) for error in failures)


def _tell(entry: dg.EventLogEntry, progress: Progress) -> None:
    event = entry.dagster_event
    if event is not None and event.is_step_success and event.step_key:
        progress(event.step_key)


def _check(evaluation: Any) -> dict[str, Any]:
    return {
        "asset": evaluation.asset_key.to_user_string(),
        "check": evaluation.check_name,
        "passed": evaluation.passed,
        "severity": evaluation.severity.value,
        "description": evaluation.description,
        "metadata": {name: value.value for name, value in evaluation.metadata.items()},
    }


def _why(result: dg.ExecuteInProcessResult, checks: list[dict[str, Any]]) -> str:
    failed = [check for check in checks if not check["passed"] and check["severity"] == "ERROR"]
    lines = [f"the check {check['check']} on {check['asset']} failed: {check['metadata']}" for check in failed]
    for event in result.all_events:
        if event.is_step_failure and not failed:
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            lines.append(f"{event.step_key}: {cause.message.strip() if cause else 'failed'}")
            if advice := remedy(lines[-1]) or (LOST if cause and cause.cls_name in ENDED else None):
                lines.append(advice)
    return "\n".join([*lines, f"Run {result.run_id}: its log is in the Dagster UI (knowdefeat up), under Runs."])
