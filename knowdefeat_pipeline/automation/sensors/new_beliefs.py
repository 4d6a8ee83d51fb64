"""The sensor that learns: every two minutes, what was refreshed or decided since the beliefs of a day were learned.

Learning waits for the refresh and never holds it up for long: what came meanwhile is learned at once. While trades keep
coming each look is a run, which leaves some 70 kB with Dagster: 50 MB a day.
"""

from __future__ import annotations

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.jobs import learn
from knowdefeat_pipeline.automation.sensors.requests import request_run, under_way, up_to_date
from knowdefeat_pipeline.store.staleness import BELIEFS, settle, stale_days

NAME = "new_beliefs"
EVERY = 120  # seconds


def build(calendar: Calendar) -> dg.SensorDefinition:
    """The sensor `new_beliefs`."""

    @dg.sensor(
        name=NAME,
        job=learn,
        minimum_interval_seconds=EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Learns the days whose beliefs are older than their metrics, the market's regimes or the ledger.",
    )
    def new_beliefs(
        context: dg.SensorEvaluationContext, database: Database, clock: Clock
    ) -> dg.SkipReason | dg.RunRequest:
        with database.connect() as connection:
            found = stale_days(connection, BELIEFS, clock.now(connection), calendar.first_day)
            settle(connection, found)
            if not found:
                return up_to_date(found)
            described = (
                f"Beliefs for {found.first} to {found.last} have been stale since {found.since:%Y-%m-%d %H:%M:%S} UTC."
            )
            if working := under_way(context, connection, found):
                return dg.SkipReason(f"{described} {working}")
        return request_run(context.instance, NAME, found, calendar)

    return new_beliefs
