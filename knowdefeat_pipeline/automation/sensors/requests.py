"""Runs for what is stale: which days, when to try again, and when to give up.

Level-triggered: each tick asks the database what is stale, so that a run that failed, died or never began leaves its
work to the next tick. Nothing is remembered here but the runs themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg
import psycopg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.assets.catalogue import BATCH_TAG
from knowdefeat_pipeline.assets.tags import range_tags
from knowdefeat_pipeline.postgres import leases
from knowdefeat_pipeline.postgres.advisory import told
from knowdefeat_pipeline.settings import before_first_day
from knowdefeat_pipeline.store.locks import day_holders
from knowdefeat_pipeline.store.staleness import Staleness

ATTEMPT_TAG = "knowdefeat/attempt"
ATTEMPTS = 5
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=5), timedelta(minutes=5)
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def up_to_date(found: Staleness) -> dg.SkipReason:
    """Nothing is stale."""
    return dg.SkipReason(f"Up to date: all {found.computed_days} computed days include every recorded change.")


def describe(found: Staleness) -> str:
    """What is stale, in a sentence."""
    other = "A day ended" if found.newest is None else "Inputs changed"
    what = f"{found.trades:,} new trades" if found.trades else other
    return f"{what}; stale since {found.since:%Y-%m-%d %H:%M:%S} UTC: {found.first} to {found.last}."


def under_way(context: dg.SensorEvaluationContext, connection: psycopg.Connection, found: Staleness) -> str | None:
    """Who computes the first of the stale days, in a sentence, and what to do where waiting may not end it; None where
    nobody does. The live listener or a run that stands still is dismissed first."""
    if leases.dismiss(connection):
        context.log.warning(
            "The live listener or a run did not renew its lease: it was stopped, or its machine was. What it had "
            "locked is free."
        )
    working = day_holders(connection, found.first, found.first)
    return f"A refresh of {found.first} is under way, by {told(working)}." if working else None


def retry_delay(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    delay: timedelta = FIRST_DELAY * 2 ** (failures - 1)
    return min(delay, LONGEST_DELAY)


def request_run(
    instance: dg.DagsterInstance,
    sensor: str,
    found: Staleness,
    calendar: Calendar,
    tags: Mapping[str, str] | None = None,
) -> dg.SkipReason | dg.RunRequest:
    """A run of the sensor's job over what is stale, at most a run's worth of days.

    Not while one is under way, nor too soon after a failure, nor of days that a changed first day has put out of reach.
    """
    if found.first < calendar.first_day:
        return dg.SkipReason(f"{describe(found)} {before_first_day(found.first, calendar.first_day)}")
    records = instance.get_run_records(
        dg.RunsFilter(tags={"dagster/sensor_name": sensor}), limit=ATTEMPTS + 1
    )  # the latest first
    if records and not records[0].dagster_run.is_finished:
        return dg.SkipReason(f"{describe(found)} Waiting for run {records[0].dagster_run.run_id}.")
    failed = [*takewhile(lambda record: record.dagster_run.status in FAILED, records)]
    refusal = _too_soon(found.batch, failed)
    if refusal:
        return dg.SkipReason(f"{describe(found)} {refusal}")
    # The same batch may come again after a success, if only by a restored database: a key is never used twice.
    known = {BATCH_TAG: found.batch, "dagster/sensor_name": sensor}
    earlier = instance.get_runs_count(dg.RunsFilter(tags=known))
    counted = {BATCH_TAG: found.batch, ATTEMPT_TAG: str(len(failed) + 1)}
    days = range_tags(*found.part(calendar.chunk_days))
    return dg.RunRequest(run_key=f"{found.batch}#{earlier + 1}", tags=days | counted | {**(tags or {})})


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
