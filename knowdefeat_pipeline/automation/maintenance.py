"""The nightly upkeep: old logs of runs go, the catalogue's latest state stays, every table is vacuumed, and Dagster's
indexes are written anew."""

import shutil
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
from dagster import DagsterEventType as Event
from pydantic import Field

from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.automation.dagster_internals.instance import SCHEMA, logs_folder
from knowdefeat_pipeline.postgres.maintenance import (
    ended_runs,
    purge_checks,
    purge_events,
    purge_runs,
    reindex,
    table_sizes,
    vacuum,
)
from knowdefeat_pipeline.scale.staging import sweep
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store.outbox import forget_events

PURGE_SECONDS = 30 * 60  # what is left then waits for the next night
VACUUM_SECONDS = 60 * 60  # a table; longer than this is worth a look, so the run fails

# What a run did, of interest while it is recent. Everything else stays: observations and each partition's latest
# materialisation make the catalogue, failures say what went wrong, and what is not named here may be something that a
# later Dagster needs.
PASSING: dict[str, Event | None] = {
    "log messages": None,
    **{
        event.name: event
        for event in (
            Event.ASSET_CHECK_EVALUATION,  # the result itself stands in a table of its own
            Event.ASSET_CHECK_EVALUATION_PLANNED,
            Event.ASSET_MATERIALIZATION,  # once there is a later one: see sql/queries/postgres/purge_events.sql
            Event.ASSET_MATERIALIZATION_PLANNED,  # once carried out: see there
            Event.ENGINE_EVENT,
            Event.HANDLED_OUTPUT,
            Event.LOADED_INPUT,
            Event.LOGS_CAPTURED,
            Event.RESOURCE_INIT_STARTED,
            Event.RESOURCE_INIT_SUCCESS,
            Event.RUN_CANCELING,
            Event.RUN_DEQUEUED,
            Event.RUN_ENQUEUED,
            Event.RUN_START,
            Event.RUN_STARTING,
            Event.RUN_SUCCESS,
            Event.STEP_INPUT,
            Event.STEP_OUTPUT,
            Event.STEP_RESTARTED,
            Event.STEP_SKIPPED,
            Event.STEP_START,
            Event.STEP_SUCCESS,
            Event.STEP_UP_FOR_RETRY,
            Event.STEP_WORKER_STARTED,
            Event.STEP_WORKER_STARTING,
        )
    },
}


class Keep(dg.Config):
    """How much of the past stays."""

    run_days: int = Field(ge=1, description="For how many days after its end a run's log is kept whole.")


@dg.op(
    description="Delete the log of runs that ended long ago; the latest state of all partitions and all failures stay."
)
def purge_run_logs(context: dg.OpExecutionContext, config: Keep, database: Database, clock: Clock) -> None:
    deadline = time.monotonic() + PURGE_SECONDS
    with database.connect() as connection:
        before = clock.now(connection) - timedelta(days=config.run_days)
        rows, size, finished = _purge(connection, before, deadline)
        checks = purge_checks(connection, before)
        folders = _remove_printed(connection, logs_folder(Settings.from_environment()), before)
        runs = purge_runs(connection, before)
        told = forget_events(connection, before)
        sweep(connection)  # what refreshes left in the staging that were killed, and never begun again
    kinds = ", ".join(f"{count:,} {name}" for name, count in rows.most_common())
    context.log.info(f"Events of runs that ended before {before:%Y-%m-%d %H:%M} UTC: deleted {kinds or 'none'}.")
    if not finished:
        context.log.warning(f"There is more than {PURGE_SECONDS // 60} minutes could delete; the next run goes on.")
    context.add_output_metadata(
        {
            "ended before": dg.MetadataValue.timestamp(before),
            "events deleted": rows.total(),
            "bytes of events deleted": size,
            "events deleted by type": dict(rows),
            "replaced results of checks deleted": checks,
            "folders of printed output deleted": folders,
            "runs of which nothing is left deleted": runs,
            "events for webhooks deleted": told,
            "complete": finished,
        }
    )


def _purge(connection: psycopg.Connection, before: datetime, deadline: float) -> tuple[Counter[str], int, bool]:
    """Rows by type, bytes, and whether nothing is left to delete."""
    rows: Counter[str] = Counter()
    size = 0
    for name, event in PASSING.items():
        for purged in purge_events(connection, event.value if event else None, before):
            if purged.rows:
                rows[name] += purged.rows
                size += purged.bytes
            if time.monotonic() > deadline:
                return rows, size, False
    return rows, size, True


def _remove_printed(connection: psycopg.Connection, logs: Path, before: datetime) -> int:
    """Delete what the steps of old runs printed (a folder per run); the number of folders."""
    folders = {folder.name: folder for folder in logs.iterdir()} if logs.exists() else {}
    old = ended_runs(connection, [*folders], before)
    for run_id in old:
        shutil.rmtree(folders[run_id])
    return len(old)


@dg.op(
    ins={"purged": dg.In(dg.Nothing)},
    description="VACUUM (ANALYZE) every table, so that space is used again and plans fit the data; write Dagster's "
    "indexes anew, which would grow for ever by what stays of each day.",
)
def vacuum_tables(context: dg.OpExecutionContext, database: Database) -> None:
    with database.connect() as connection:
        before = table_sizes(connection)
        for table in before:
            vacuum(connection, table, VACUUM_SECONDS)
        of_dagster = [table for table in before if table.schema == SCHEMA]
        locked = [table.table for table in of_dagster if not reindex(connection, table, VACUUM_SECONDS)]
        after = {(table.schema, table.table): table.bytes for table in table_sizes(connection)}
    records = [
        dg.TableRecord(
            {
                "table": f"{table.schema}.{table.table}",
                "bytes before": table.bytes,
                "bytes after": after.get((table.schema, table.table), 0),
            }
        )
        for table in before
    ]
    total, left = sum(table.bytes for table in before), sum(after.values())
    context.log.info(f"Vacuumed {len(before)} tables: {total:,} bytes before, {left:,} after.")
    if locked:
        context.log.warning(
            f"Left for the next night, as somebody has them locked: the indexes of {', '.join(locked)}."
        )
    context.add_output_metadata(
        {
            "tables": dg.MetadataValue.table(records),
            "bytes before": total,
            "bytes after": left,
        }
    )


def build_maintenance(keep_run_days: int) -> dg.JobDefinition:
    """The job `maintenance`; the launchpad offers the days to keep."""

    @dg.job(
        description="Delete old logs of runs, keep the catalogue, vacuum the tables.",
        config=dg.RunConfig(ops={purge_run_logs.name: Keep(run_days=keep_run_days)}),
    )
    def maintenance() -> None:
        vacuum_tables(purge_run_logs())

    return maintenance
