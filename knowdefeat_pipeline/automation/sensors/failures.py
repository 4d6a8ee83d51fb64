"""Who is told of a failed run: the log, and the address of KNOWDEFEAT_WEBHOOK_URL if there is one."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import dagster as dg

from knowdefeat_pipeline.assets.tags import covered_range
from knowdefeat_pipeline.settings import webhook_url

TIMEOUT = 10.0  # seconds
LONGEST_ERROR = 2_000  # characters: chats refuse long messages


@dg.run_failure_sensor(
    # Also runs of `knowdefeat run`, which belong to no code location.
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Write every failed run to the log, and post it to KNOWDEFEAT_WEBHOOK_URL if that is set.",
)
def report_failures(context: dg.RunFailureSensorContext) -> None:
    report = describe(context)
    context.log.error(f"{report['text']}\n{report['error']}")
    url = webhook_url(os.environ)
    if url:
        post(url, report)


def describe(context: dg.RunFailureSensorContext) -> dict[str, Any]:
    """A failed run as JSON: text, job, run_id, error, partitions (`first..last`, a single one, or None)."""
    run = context.dagster_run
    days = covered_range(run.tags)
    partitions = "..".join(str(day) for day in sorted({*days})) if days else None
    error = "\n".join(map(_why, context.get_step_failure_events())) or context.failure_event.message or ""
    of = f" ({partitions})" if partitions else ""
    first_line = error.partition("\n")[0]
    return {
        "text": f"KnowDefeat Pipeline: {run.job_name}{of} failed in run {run.run_id}: {first_line}"[:LONGEST_ERROR],
        "job": run.job_name,
        "run_id": run.run_id,
        "error": error[:LONGEST_ERROR],
        "partitions": partitions,
    }


def _why(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    cause = error.cause if error and error.cause else error
    return f"{event.step_key}: {cause.message.strip() if cause else 'failed'}"


def post(url: str, report: dict[str, Any]) -> None:
    """POST the report as JSON. Raises OSError: URLError, HTTPError for any answer but a 2xx, TimeoutError."""
    request = urllib.request.Request(  # noqa: S310 (webhook_url admits http and https alone)
        url, json.dumps(report).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
        pass
