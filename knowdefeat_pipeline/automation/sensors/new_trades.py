"""The sensor that refreshes what new trades touch.

Level-triggered: each tick asks the database what is pending, so that a run that failed, died or never began leaves its
work to the next tick. Nothing is remembered here but the runs themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

import dagster as dg

from knowdefeat_pipeline.assets.catalogue import BATCH_TAG
from knowdefeat_pipeline.assets.partitions import CHUNK_DAYS
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.tags import PRIORITY, range_tags
from knowdefeat_pipeline.automation.jobs import refresh
from knowdefeat_pipeline.store.staleness import (
    CHANNEL,
    Pending,
    Settled,
    day_is_locked,
    listener_is_there,
    pending_days,
)

ATTEMPT_TAG = "knowdefeat/attempt"
ATTEMPTS = 5
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=5), timedelta(minutes=5)
LISTENER_GRACE = timedelta(seconds=10)
LISTENING = 4.0  # seconds; the daemon begins a tick every 5 s, and half of that would be lost on average
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dg.sensor(job=refresh, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def new_trades(context: dg.SensorEvaluationContext, database: Database, clock: Clock) -> dg.SkipReason | dg.RunRequest:
    """Refreshes the days that new trades touch, in one run; retries a failed one, later and later.

    Where there are none, and no live listener, a tick listens for a while and looks again when some arrive.
    """
    now = clock.now()
    with database.connect() as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        found = pending_days(connection, now)
        if isinstance(found, Settled) and not listener_is_there(connection):
            for _ in connection.notifies(timeout=LISTENING, stop_after=1):
                pass
            now = clock.now()
            found = pending_days(connection, now)
        if isinstance(found, Settled):
            return dg.SkipReason(f"No new trades: all {found.days} computed days have seen every trade.")
        if day_is_locked(connection, found.first):
            return dg.SkipReason(f"{describe(found)} A refresh of {found.first} is under way.")
        if listener_is_there(connection) and now - found.since < LISTENER_GRACE:
            return dg.SkipReason(f"{describe(found)} Left to the live listener.")
    days = found.first, chunk_end(found)
    return request_run(context.instance, new_trades.name, found.batch, describe(found), days, {PRIORITY: "10"})


def describe(found: Pending) -> str:
    """What is pending, in a sentence."""
    other = "A day that ended" if found.newest is None else "New scores of trades"
    what = f"{found.trades:,} new trades" if found.trades else other
    return f"{what} since {found.since:%Y-%m-%d %H:%M:%S} UTC: {found.first} to {found.last}."


def chunk_end(found: Pending) -> date:
    """The last day of the next run: what is left stays pending."""
    return min(found.last, found.first + timedelta(days=CHUNK_DAYS - 1))


def retry_delay(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY)


def request_run(
    instance: dg.DagsterInstance,
    sensor: str,
    batch: str,
    described: str,
    days: tuple[date, date],
    tags: Mapping[str, str],
) -> dg.SkipReason | dg.RunRequest:
    """A run of the sensor's job over the first to the last of `days` for a batch of work, `described` in a sentence.

    Not while one is under way, nor too soon after a failure.
    """
    records = instance.get_run_records(
        dg.RunsFilter(tags={"dagster/sensor_name": sensor}), limit=ATTEMPTS + 1
    )  # the latest first
    if records and not records[0].dagster_run.is_finished:
        return dg.SkipReason(f"{described} Waiting for run {records[0].dagster_run.run_id}.")
    failed = [*takewhile(lambda record: record.dagster_run.status in FAILED, records)]
    refusal = _too_soon(batch, failed)
    if refusal:
        return dg.SkipReason(f"{described} {refusal}")
    # The same batch may come again after a success, if only by a restored database: a key is never used twice.
    known = {BATCH_TAG: batch, "dagster/sensor_name": sensor}
    earlier = instance.get_runs_count(dg.RunsFilter(tags=known))
    counted = {BATCH_TAG: batch, ATTEMPT_TAG: str(len(failed) + 1)}
    return dg.RunRequest(run_key=f"{batch}#{earlier + 1}", tags=range_tags(*days) | counted | {**tags})


def _too_soon(batch: str, failed: Sequence[dg.RunRecord]) -> str | None:
    """Why not to try (again) now, after these failures in a row, the latest first."""
    if not failed:
        return None
    same = [*takewhile(lambda record: record.dagster_run.tags.get(BATCH_TAG) == batch, failed)]
    if len(same) >= ATTEMPTS:
        return (
            f"Gave up after {ATTEMPTS} failed runs, the last {same[0].dagster_run.run_id}: see its log. "
            "New trades, or a run started by hand, try again."
        )
    ended = failed[0].end_time or failed[0].update_timestamp.timestamp()
    left = datetime.fromtimestamp(ended, UTC) + retry_delay(len(failed)) - datetime.now(UTC)
    return f"Trying again in {left.total_seconds():.0f} s." if left > timedelta(0) else None
