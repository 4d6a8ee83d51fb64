"""Where assets, jobs, schedules, sensors and resources meet; the only place that knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from knowdefeat_pipeline.assets import audit, beliefs, funds, learning, market, metrics, ranking, skill, trades
from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation import jobs, schedules
from knowdefeat_pipeline.automation.maintenance import build_maintenance
from knowdefeat_pipeline.automation.sensors import market_data, new_beliefs, new_trades
from knowdefeat_pipeline.automation.sensors.failures import report_failures
from knowdefeat_pipeline.settings import Settings

SUBJECTS = (market, trades, metrics, ranking, skill, learning, beliefs, funds)


def build_defs(resource_overrides: Mapping[str, Any] | None = None, settings: Settings | None = None) -> dg.Definitions:
    """The definitions; tests hand in a database of their own and a stopped clock by `resource_overrides`.

    `settings`: those of the environment by default. Raises SettingError for a variable that cannot be used.
    """
    settings = settings or Settings.from_environment()
    calendar = Calendar(settings.first_day, settings.chunk_days)
    maintenance = build_maintenance(settings.upkeep.keep_run_days)
    return dg.Definitions(
        assets=[asset for subject in SUBJECTS for asset in subject.build(calendar)],
        asset_checks=[audit.build(calendar)],
        jobs=[*jobs.ALL, maintenance],
        schedules=[
            schedules.daily_weights(settings.upkeep, calendar),
            schedules.nightly_audit(settings.upkeep),
            schedules.nightly_maintenance(settings.upkeep, maintenance),
        ],
        sensors=[new_trades.build(calendar), market_data.build(calendar), new_beliefs.build(calendar), report_failures],
        # Short steps: a process for each would cost more than the work.
        executor=dg.in_process_executor,
        resources={"database": Database(), "clock": Clock(), **(resource_overrides or {})},
    )
