"""The sensor that refreshes what new trades, decisions or versions of the weights touch."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.tags import PRIORITY
from knowdefeat_pipeline.automation.jobs import refresh
from knowdefeat_pipeline.automation.sensors.requests import describe, request_run, under_way, up_to_date
from knowdefeat_pipeline.store.locks import listener_is_there
from knowdefeat_pipeline.store.staleness import CHANNEL, RANKING, settle, stale_days

NAME = "new_trades"
LISTENER_GRACE = timedelta(seconds=10)
LISTENING = 4.0  # seconds; the daemon begins a tick every 5 s, and half of that would be lost on average


def build(calendar: Calendar) -> dg.SensorDefinition:
    """The sensor `new_trades`."""

    @dg.sensor(
        name=NAME,
        job=refresh,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the days that new trades touch, in one run; retries a failed one, later and later.",
    )
    def new_trades(
        context: dg.SensorEvaluationContext, database: Database, clock: Clock
    ) -> dg.SkipReason | dg.RunRequest:
        """Where nothing is stale, and no live listener is there, a tick listens for a while and looks again."""
        with database.connect() as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            found = stale_days(connection, RANKING, clock.now(connection), calendar.first_day)
            if not found and not listener_is_there(connection):
                for _ in connection.notifies(timeout=LISTENING, stop_after=1):
                    pass
                found = stale_days(connection, RANKING, clock.now(connection), calendar.first_day)
            settle(connection, found)
            if not found:
                return up_to_date(found)
            if working := under_way(context, connection, found):
                return dg.SkipReason(f"{describe(found)} {working}")
            if listener_is_there(connection) and found.since and clock.now(connection) - found.since < LISTENER_GRACE:
                return dg.SkipReason(f"{describe(found)} Left to the live listener.")
        return request_run(context.instance, NAME, found, calendar, {PRIORITY: "10"})

    return new_trades
