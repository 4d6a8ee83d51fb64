"""The sensor that brings regimes and scores up to date with bars, order books and trades that arrived."""

from __future__ import annotations

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.jobs import market
from knowdefeat_pipeline.automation.sensors.requests import describe, request_run, under_way, up_to_date
from knowdefeat_pipeline.store.staleness import MARKET, settle, stale_days

NAME = "market_data"


def build(calendar: Calendar) -> dg.SensorDefinition:
    """The sensor `market_data`."""

    # Apart from `new_trades`, and once a minute: fitting models would hold up what has to follow a trade at once.
    @dg.sensor(
        name=NAME,
        job=market,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes the days that lack market data, in one run; scores that change then refresh the ranking.",
    )
    def market_data(
        context: dg.SensorEvaluationContext, database: Database, clock: Clock
    ) -> dg.SkipReason | dg.RunRequest:
        with database.connect() as connection:
            found = stale_days(connection, MARKET, clock.now(connection), calendar.first_day)
            settle(connection, found)
            if not found:
                return up_to_date(found)
            if working := under_way(context, connection, found):
                return dg.SkipReason(f"{describe(found)} {working}")
        return request_run(context.instance, NAME, found, calendar)

    return market_data
