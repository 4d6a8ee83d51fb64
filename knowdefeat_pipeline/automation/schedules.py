"""What happens by the clock: the daily refresh, the audit of the day that ended, and the nightly maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from knowdefeat_pipeline.assets.partitions import FIRST_DAY
from knowdefeat_pipeline.assets.tags import range_tags
from knowdefeat_pipeline.automation.jobs import ADJUSTING, ADJUSTMENT_TAG, audit, recompute
from knowdefeat_pipeline.settings import Upkeep

AUDIT_AFTER = timedelta(hours=1)  # since the daily refresh


def daily_weights(upkeep: Upkeep) -> dg.ScheduleDefinition:
    """The weights of the day that ended, and then the running day ranked with what is in force."""

    @dg.schedule(
        name="daily_weights",
        job=recompute,
        cron_schedule=_cron(upkeep.daily_at),
        execution_timezone=upkeep.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Recompute the day (UTC) that ended, up to its weights and funds, then the running day with them.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        for day in _days(context.scheduled_execution_time):
            tags = {**range_tags(day, day), ADJUSTMENT_TAG: "true"}  # dagster.yaml lets one such run at a time go
            yield dg.RunRequest(run_key=day.isoformat(), tags=tags, run_config=ADJUSTING)

    return evaluate


def _days(at: datetime) -> list[date]:
    """Yesterday and today, one after the other in the queue: the second ranks with what the first adjusted."""
    today = at.astimezone(UTC).date()
    return [day for day in (today - timedelta(days=1), today) if day >= FIRST_DAY]


def nightly_audit(upkeep: Upkeep) -> dg.ScheduleDefinition:
    """The audit of the day that ended, an hour after its refresh."""

    @dg.schedule(
        name="nightly_audit",
        job=audit,
        cron_schedule=_cron((datetime.combine(date.min, upkeep.daily_at) + AUDIT_AFTER).time()),
        execution_timezone=upkeep.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Audit the day (UTC) that ended.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(run_key=yesterday.isoformat(), tags=range_tags(yesterday, yesterday))

    return evaluate


def nightly_maintenance(upkeep: Upkeep, maintenance: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The maintenance, once a night."""
    return dg.ScheduleDefinition(
        name="nightly_maintenance",
        job=maintenance,
        cron_schedule=_cron(upkeep.maintenance_at),
        execution_timezone=upkeep.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Delete old logs of runs and vacuum the tables.",
    )


def _cron(at: time) -> str:
    return f"{at.minute} {at.hour} * * *"
