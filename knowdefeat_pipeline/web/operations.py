"""What runs and how fresh it is: one reading for the page Operations and the API's status."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from knowdefeat_pipeline.postgres.last_backup import LastBackup, last_backup, origin_of
from knowdefeat_pipeline.postgres.liveness import failed_checks, last_runs
from knowdefeat_pipeline.postgres.maintenance import largest_tables
from knowdefeat_pipeline.settings import Settings
from knowdefeat_pipeline.store import health
from knowdefeat_pipeline.store.fleet import fleet_counts, freshness
from knowdefeat_pipeline.store.followed_files import followed_files
from knowdefeat_pipeline.store.health import Finding
from knowdefeat_pipeline.store.reads import Record

RUNS, TABLES = 20, 12  # that are shown


@dataclass(frozen=True)
class Operations:
    """What `doctor` finds of the pipeline, how fresh each asset is, what ran, and what there is."""

    findings: list[Finding]
    assets: list[Record]
    runs: list[Record]
    failed_checks: list[Record]
    counts: Record
    tables: list[Record]
    followed: list[Record]
    last_backup: LastBackup | None


def read_operations(connection: psycopg.Connection, settings: Settings) -> Operations:
    """Read it all; nothing of it is held, as clocks and processes change it."""
    findings = [
        *health.of_pipeline(connection, settings.first_day),
        health.of_clock(connection),
        health.of_disk(settings.home),
        health.of_backup(settings.home, origin_of(connection)),
    ]
    return Operations(
        findings,
        freshness(connection),
        last_runs(connection, RUNS),
        failed_checks(connection),
        fleet_counts(connection),
        largest_tables(connection, TABLES),
        followed_files(connection),
        last_backup(settings.home),
    )
