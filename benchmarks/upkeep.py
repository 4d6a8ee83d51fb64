"""Whether the nightly maintenance keeps the database level: simulated days of the live path, each with its night.

    python -m benchmarks.upkeep [--bots 24] [--days 30] [--batches 300] [--json]

Each day takes so many batches of a trade, spread over it, with a report to Dagster after every third (a day at a trade
a second has 1,440; see benchmarks.growth for its bytes); then the job `maintenance` runs at midnight. What Dagster
noted down is dated back to the simulated day. Shown are Dagster's tables, the tables of results and the events after
each fifth night, and the growth over the last nights, when the oldest logs have begun to go.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg

from benchmarks.common import database, fleet, report, store
from benchmarks.growth import RESULTS
from benchmarks.live import dagster_tables
from knowdefeat_pipeline.settings import Upkeep

HISTORY_DAYS, PER_DAY = 60, 20
REPORT = 3  # batches between two
KEPT = Upkeep().keep_run_days
SETTLED = KEPT + 6  # days after which what comes and what goes are in balance
INSERT = (
    "INSERT INTO trades (bot_id, ticker, direction, status, entry_time, exit_time, entry_price, exit_price, notional)"
    " VALUES (%s, 'ETH', 'LONG', 'closed', %s, %s, 100, 100 + random(), 1000)"
)
DATE_BACK = (
    "UPDATE dagster.event_logs SET timestamp = %(then)s::timestamptz AT TIME ZONE 'UTC' WHERE id > %(known)s",
    "UPDATE dagster.asset_check_executions SET evaluation_event_timestamp = %(then)s::timestamptz AT TIME ZONE 'UTC'"
    " WHERE evaluation_event_timestamp > %(begun)s::timestamptz AT TIME ZONE 'UTC'",
    "UPDATE dagster.runs SET start_time = %(seconds)s, end_time = %(seconds)s WHERE end_time > %(begun_seconds)s",
)


def measure(bots: int, days: int, batches: int) -> list[dict[str, float]]:
    """The sizes after each night."""
    with database() as url, tempfile.TemporaryDirectory(prefix="knowdefeat-benchmark-") as home:
        os.environ.update(KNOWDEFEAT_DATABASE_URL=url, KNOWDEFEAT_HOME=home)
        from knowdefeat_pipeline.automation.dagster_internals.instance import open_instance
        from knowdefeat_pipeline.automation.live_report import LiveReport, parents_of
        from knowdefeat_pipeline.automation.runs import refresh_days
        from knowdefeat_pipeline.definitions import defs

        begun = datetime.now(UTC)
        last = begun.date() - timedelta(days=1)
        first = last - timedelta(days=days - 1)
        store(url, fleet(bots, PER_DAY * HISTORY_DAYS, HISTORY_DAYS, end=_midnight(first)))
        told, found = LiveReport(open_instance, parents_of(defs), REPORT), []
        with open_instance() as instance, psycopg.connect(url, autocommit=True) as connection:
            refresh_days(defs, instance, first - timedelta(days=HISTORY_DAYS), first - timedelta(days=1))
            known = _dated_back(connection, begun, _midnight(first), 0)
            for number in range(days):
                day = first + timedelta(days=number)
                _live(url, told, bots, day, batches)
                known = _dated_back(connection, begun, _midnight(day), known)
                _night(url, instance, _midnight(day + timedelta(days=1)))
                known = _dated_back(connection, begun, _midnight(day + timedelta(days=1)), known)
                found.append(_sizes(connection))
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _live(url: str, told: Any, bots: int, day: date, batches: int) -> None:
    """A day of the listener's work."""
    from knowdefeat_pipeline.automation.live import _prepared
    from knowdefeat_pipeline.postgres.connection import connect
    from knowdefeat_pipeline.steps.chain import refresh
    from knowdefeat_pipeline.store.memory import Memory
    from knowdefeat_pipeline.store.session import Session
    from knowdefeat_pipeline.store.staleness import RANKING, settle, stale_days

    with psycopg.connect(url, autocommit=True) as writer, connect(url) as connection:
        session = Session(url, _prepared(connection), Memory(url))
        for number in range(1, batches + 1):
            now = _midnight(day) + number * timedelta(days=1) / (batches + 1)
            at = now - timedelta(seconds=1)
            writer.execute(INSERT, (1 + number % bots, at - timedelta(minutes=5), at))
            stale = stale_days(connection, RANKING, now)
            settle(connection, stale)
            told.add(refresh(session, stale.first, stale.last, now), stale.trades, 0.0)
            if number % REPORT == 0:
                told.send(print)


def _night(url: str, instance: Any, midnight: datetime) -> None:
    """The maintenance of a night."""
    from knowdefeat_pipeline.assets.resources import DatabaseAt, StoppedClock
    from knowdefeat_pipeline.build import build_defs

    defs = build_defs({"database": DatabaseAt(url=url), "clock": StoppedClock(at=midnight.isoformat())})
    quiet = {
        "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        "ops": {"purge_run_logs": {"config": {"run_days": KEPT}}},
    }
    if not defs.resolve_job_def("maintenance").execute_in_process(instance=instance, run_config=quiet).success:
        raise RuntimeError(f"the maintenance of {midnight:%Y-%m-%d} failed")


def _dated_back(connection: psycopg.Connection, begun: datetime, then: datetime, known: int) -> int:
    """Date what Dagster noted down since the event `known` to `then`; the last event."""
    values = {
        "then": then,
        "known": known,
        "begun": begun,
        "seconds": then.timestamp(),
        "begun_seconds": begun.timestamp(),
    }
    for statement in DATE_BACK:
        connection.execute(statement, values)
    ((newest,),) = connection.execute("SELECT coalesce(max(id), 0) FROM dagster.event_logs").fetchall()
    return newest


def _sizes(connection: psycopg.Connection) -> dict[str, float]:
    ((results,),) = connection.execute(RESULTS).fetchall()
    events, dagster = dagster_tables(connection)
    return {"dagster_mb": dagster / 1e6, "results_mb": results / 1e6, "events": events}


def main() -> None:
    """Print how the sizes go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bots", type=int, default=24)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = measure(chosen.bots, chosen.days, chosen.batches)
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    shown = [night for night in range(1, chosen.days + 1) if night % 5 == 0 or night == chosen.days]
    rows = [
        (
            f"night {night}",
            f"Dagster {found[night - 1]['dagster_mb']:6.1f} MB, {found[night - 1]['events']:7,.0f} events; "
            f"results {found[night - 1]['results_mb']:6.1f} MB",
        )
        for night in shown
    ]
    if chosen.days > SETTLED:
        grown = found[-1]["dagster_mb"] / found[SETTLED - 1]["dagster_mb"] - 1
        rows.append((f"night {SETTLED} to {chosen.days}", f"Dagster {grown:+.1%}"))
    report(f"{chosen.bots} bots, {chosen.days} days of {chosen.batches:,} batches", rows, {"nights": found}, False)


if __name__ == "__main__":
    main()
