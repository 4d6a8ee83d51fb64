"""Who is told of a failed run: the log, and by the outbox the webhook."""

from __future__ import annotations

from typing import Any

import dagster as dg

from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.assets.tags import covered_range
from knowdefeat_pipeline.store.outbox import add_event

LONGEST_ERROR = 2_000  # characters: chats refuse long messages


@dg.run_failure_sensor(
    # Also runs of `knowdefeat run`, which belong to no code location.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Write every failed run to the log, and note it for the webhook of KNOWDEFEAT_WEBHOOK_URL.",
)
def report_failures(context: dg.RunFailureSensorContext, database: Database) -> None:
    told, report = describe(context)
    context.log.error(f"KnowDefeat Pipeline: {told}\n{report['error']}")
    with database.connect() as connection:
        add_event(connection, "run_failed", told, report)


def describe(context: dg.RunFailureSensorContext) -> tuple[str, dict[str, Any]]:
    """A failed run in a sentence, and as JSON: job, run_id, error, partitions (`first..last`, a single one, or
    None)."""
    run = context.dagster_run
    days = covered_range(run.tags)
    partitions = "..".join(str(day) for day in sorted({*days})) if days else None
    error = "\n".join(map(_why, context.get_step_failure_events())) or context.failure_event.message or ""
    of = f" ({partitions})" if partitions else ""
    first_line = error.partition("\n")[0]
    told = f"{run.job_name}{of} failed in run {run.run_id}: {first_line}"[:LONGEST_ERROR]
    return told, {
        "job": run.job_name,
        "run_id": run.run_id,
        "error": error[:LONGEST_ERROR],
        "partitions": partitions,
    }


def _why(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    cause = error.cause if error and error.cause else error
    return f"{event.step_key}: {cause.message.strip() if cause else 'failed'}"
