"""What happens by the clock: the daily refresh, the audit of the day that ended, and the nightly maintenance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.tags import range_tags
from knowdefeat_pipeline.automation.jobs import ADJUSTING, audit, recompute
from knowdefeat_pipeline.settings import Upkeep

AUDIT_AFTER = timedelta(hours=1)  # since the daily refresh


def daily_weights(upkeep: Upkeep, calendar: Calendar) -> dg.ScheduleDefinition:
    """The day that ended, with the weights that are learned from it, and the running day."""

    @dg.schedule(
        name="daily_weights",
        job=recompute,
        cron_schedule=_cron(upkeep.daily_at),
        execution_timezone=upkeep.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Recompute the day (UTC) that ended, adjust the weights after it, and recompute the running day.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        # Whichever of the two is first: a version that is published makes the days after it stale, as a trade does.
        for day in (today - timedelta(days=1), today):
            if day >= calendar.first_day:
                yield dg.RunRequest(run_key=day.isoformat(), tags=range_tags(day, day), run_config=ADJUSTING)

    return evaluate


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
