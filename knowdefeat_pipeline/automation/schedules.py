"""What happens by the clock: the daily refresh and the nightly maintenance."""

from __future__ import annotations

from datetime import UTC, time, timedelta

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from knowdefeat_pipeline.assets.partitions import FIRST_DAY
from knowdefeat_pipeline.automation.jobs import refresh
from knowdefeat_pipeline.settings import Upkeep


def daily_refresh(upkeep: Upkeep) -> dg.ScheduleDefinition:
    """Yesterday, which is complete now, and the running day, in one run."""

    @dg.schedule(
        name="daily_refresh",
        job=refresh,
        cron_schedule=_cron(upkeep.daily_at),
        execution_timezone=upkeep.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refresh yesterday (UTC), which is complete now, and the running day, in one run.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        return dg.RunRequest(
            tags={
                ASSET_PARTITION_RANGE_START_TAG: max(FIRST_DAY, today - timedelta(days=1)).isoformat(),
                ASSET_PARTITION_RANGE_END_TAG: today.isoformat(),
            }
        )

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
