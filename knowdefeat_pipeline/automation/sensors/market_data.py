"""The sensor that brings regimes and scores up to date with bars, order books and trades that arrived."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS, FIRST_DAY
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.jobs import market
from knowdefeat_pipeline.automation.sensors.new_trades import request_run
from knowdefeat_pipeline.store.staleness import day_is_locked, pending_market


# Apart from `new_trades`, and once a minute: fitting models would hold up what has to follow a trade at once.
@dg.sensor(job=market, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def market_data(context: dg.SensorEvaluationContext, database: Database, clock: Clock) -> dg.SkipReason | dg.RunRequest:
    """Computes the days that lack market data, in one run; scores that change then refresh the ranking."""
    with database.connect() as connection:
        found = pending_market(connection, FIRST_DAY, clock.now().date())
        if found is None:
            return dg.SkipReason("No new market data: all days have seen every bar, order book and trade.")
        described = f"New market data: {found.first} to {found.last}."
        if day_is_locked(connection, found.first):
            return dg.SkipReason(f"{described} A run of {found.first} is under way.")
    days = found.first, min(found.last, found.first + timedelta(days=CHUNK_DAYS - 1))
    return request_run(context.instance, market_data.name, found.batch, described, days, {})
