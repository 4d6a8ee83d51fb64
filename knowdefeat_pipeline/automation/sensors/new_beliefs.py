"""The sensor that learns: once a minute, what was refreshed or decided since the beliefs of a day were learned.

Level-triggered as the sensor of new trades. Learning waits for the refresh and never holds it up for long: a minute of
trades is learned at once.
"""

from __future__ import annotations

import dagster as dg

from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.automation.jobs import learn
from knowdefeat_pipeline.automation.sensors.new_trades import chunk_end, request_run
from knowdefeat_pipeline.store.staleness import Settled, day_is_locked, pending_beliefs


@dg.sensor(job=learn, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING)
def new_beliefs(context: dg.SensorEvaluationContext, database: Database) -> dg.SkipReason | dg.RunRequest:
    """Learns the days whose beliefs lag behind their refresh, the market's regimes or the ledger."""
    with database.connect() as connection:
        found = pending_beliefs(connection)
        if isinstance(found, Settled):
            return dg.SkipReason(f"Nothing to learn: the beliefs of all {found.days} refreshed days are up to date.")
        told = f"Beliefs of {found.first} to {found.last} lag since {found.since:%Y-%m-%d %H:%M:%S} UTC."
        if day_is_locked(connection, found.first):
            return dg.SkipReason(f"{told} A refresh of {found.first} is under way.")
    return request_run(context.instance, new_beliefs.name, found.batch, told, (found.first, chunk_end(found)), {})
