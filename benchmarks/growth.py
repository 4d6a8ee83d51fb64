"""What a day of the live path leaves on the disk, at a trade a second.

    python -m benchmarks.growth [--bots 24] [--batches 6000] [--json]

As the live listener works, but without a pause: a trade, a look, a batch; every 60 batches a report to Dagster, and a
checkpoint as often as the server makes one by the clock. So many batches stand for as many seconds, and a day is
extrapolated from them: bytes of write-ahead log, of which full pages after checkpoints; growth of Dagster's tables and
of the tables of results. Beside it, the process's memory after a tenth of the batches and after all.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg

from benchmarks.common import database, fleet, report, store
from benchmarks.live import INSERT, dagster_tables

DAY = 86_400
REPORT = 60  # seconds between two, and so batches
HISTORY_DAYS, PER_DAY = 90, 20
CHECKPOINT_SECONDS = "SELECT setting::integer FROM pg_settings WHERE name = 'checkpoint_timeout'"
RESULTS = (
    "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace AND relname <> 'trades'"
)


def measure(bots: int, batches: int) -> dict[str, Any]:
    """The figures of so many batches."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=home)
        from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
        from knowdefeat_pipeline.automation.live import _prepared
        from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
        from knowdefeat_pipeline.automation.runs import refresh_days
        from knowdefeat_pipeline.definitions import defs
        from knowdefeat_pipeline.postgres.connection import connect
        from knowdefeat_pipeline.steps.chain import refresh
        from knowdefeat_pipeline.store.memory import Memory
        from knowdefeat_pipeline.store.session import Session
        from knowdefeat_pipeline.store.staleness import RANKING, settle, stale_days

        now = datetime.now(UTC)
        store(url, fleet(bots, PER_DAY * HISTORY_DAYS, HISTORY_DAYS, end=now - timedelta(minutes=1)))
        with open_instance() as instance:
            refresh_days(defs, instance, now.date() - timedelta(days=HISTORY_DAYS), now.date())
        told = LiveReport(open_instance, parents_of(defs), REPORT)
        memory, process = {}, psutil.Process()
        with psycopg.connect(url, autocommit=True) as writer, connect(url) as connection:
            session = Session(url, _prepared(connection), Memory(url))
            ((checkpoint,),) = writer.execute(CHECKPOINT_SECONDS).fetchall()
            writer.execute("CHECKPOINT")
            before = _sizes(writer)
            for number in range(1, batches + 1):
                writer.execute(INSERT, (1 + number % bots, 1 + number % bots))
                found = stale_days(connection, RANKING, datetime.now(UTC))
                settle(connection, found)
                told.add(refresh(session, found.first, found.last, datetime.now(UTC)), found.trades, 0.0)
                if number % REPORT == 0:
                    told.send(print)
                if number % checkpoint == 0:
                    writer.execute("CHECKPOINT")
                if number in (max(1, batches // 10), batches):
                    memory[number] = process.memory_info().rss / 1e6
            after = _sizes(writer)
    early, late = (memory[number] for number in sorted(memory))
    grown = {name: (after[name] - before[name]) * DAY / batches for name in before}
    return {"batches": batches, "a_day": grown, "early_mb": early, "late_mb": late}


def _sizes(connection: psycopg.Connection) -> dict[str, float]:
    connection.execute("SELECT pg_stat_force_next_flush()")
    ((bytes_, pages),) = connection.execute("SELECT wal_bytes::float8, wal_fpi::float8 FROM pg_stat_wal").fetchall()
    ((results,),) = connection.execute(RESULTS).fetchall()
    rows, dagster = dagster_tables(connection)
    return {"wal": bytes_, "full_pages": pages, "results": results, "event_rows": rows, "dagster": dagster}


def main() -> None:
    """Print what a day comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=24)
    parser.add_argument("--batches", type=int, default=6000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen.bots, chosen.batches)
    if chosen.json:
        print(json.dumps(figures, indent=2))
        return
    day = figures["a_day"]
    rows = [
        ("write-ahead log", f"{day['wal'] / 1e9:.2f} GB a day, with {day['full_pages']:,.0f} full pages"),
        ("Dagster's tables", f"{day['dagster'] / 1e6:,.0f} MB a day, {day['event_rows']:,.0f} events"),
        ("tables of results", f"{day['results'] / 1e6:+,.0f} MB a day"),
        (
            "memory",
            f"{figures['early_mb']:.0f} MB after a tenth of the batches, {figures['late_mb']:.0f} MB at the end",
        ),
    ]
    title = f"{chosen.bots} bots, a trade a second, extrapolated from {chosen.batches:,} batches of a second each"
    report(title, rows, figures, False)


if __name__ == "__main__":
    main()
