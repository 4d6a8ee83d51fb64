"""What the live listener tells Dagster, so that lineage, freshness and the states of days stay true without runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import dagster as dg
import numpy as np
import sqlalchemy.exc
from dagster_postgres.utils import DagsterPostgresException

from knowdefeat_pipeline.assets.catalogue import CHAIN, FUNDS, SEVERITY, check_metadata, row_count
from knowdefeat_pipeline.postgres.connection import DatabaseUnreachable
from knowdefeat_pipeline.postgres.server import EmbeddedPostgresError
from knowdefeat_pipeline.steps.outcome import CheckResult, StepResult

# How Dagster's storage says that it cannot be written to: a connection that breaks, or none to be had. Whatever it is,
# results do not wait for it.
AWAY = (sqlalchemy.exc.DBAPIError, DagsterPostgresException, DatabaseUnreachable, EmbeddedPostgresError)
VERSION, CODE_VERSION = "dagster/data_version", "dagster/code_version"
INPUT_VERSION, INPUT_EVENT = "dagster/input_data_version", "dagster/input_event_pointer"


@dataclass
class DayReport:
    """What is to be told of one day: the last results of its assets, and the batches since the last report."""

    rows: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    trades: int = 0
    latencies: list[float] = field(default_factory=list)


@dataclass
class LiveReport:
    """Batches gathered, and sent at most every `seconds`: a materialisation per asset and touched day, and the checks.

    `open_instance` opens Dagster's instance. `parents`: of each asset the assets that it is made from, in the order in
    which they are computed. What could not be sent is kept and sent with the next report.
    """

    open_instance: Callable[[], dg.DagsterInstance]
    parents: Mapping[str, Sequence[str]]
    seconds: float
    _days: dict[date, DayReport] = field(default_factory=dict)
    _checks: dict[str, Sequence[CheckResult]] = field(default_factory=dict)
    _sent: float | None = None

    def add(self, results: Sequence[StepResult], trades: int, latency: float) -> None:
        """A batch that was committed: its results, how many trades it took in, and the age of the oldest (seconds)."""
        for result in results:
            counts = result.counts
            for day in result.days:
                self._days.setdefault(day, DayReport()).rows[result.asset] = counts.get(day, 0)
            self._checks[result.asset] = result.checks
        for day in results[0].days:
            report = self._days[day]
            report.batches += 1
            report.trades += trades
            report.latencies.append(latency)

    def due_in(self) -> float:
        """In how many seconds the next report is due; for ever where there is nothing to tell."""
        if not self._days:
            return float("inf")
        return 0.0 if self._sent is None else max(0.0, self._sent + self.seconds - time.monotonic())

    def send_if_due(self, say: Callable[[str], None]) -> None:
        """Send what was gathered, if it is due."""
        if self.due_in() == 0.0:
            self.send(say)

    def send(self, say: Callable[[str], None]) -> None:
        """Send what was gathered. `say` hears of a storage that is away; it is then sent with the next report."""
        self._sent = time.monotonic()
        try:
            with self.open_instance() as instance:
                for day in sorted(self._days):
                    for asset in self.parents:
                        if asset in self._days[day].rows:
                            instance.report_runless_asset_event(self._materialisation(instance, asset, day))
                for asset, checks in self._checks.items():
                    for check in checks:
                        instance.report_runless_asset_event(_evaluation(asset, check))
        except AWAY as error:
            # The driver's words: SQLAlchemy's add the statement, which nobody needs who reads the log.
            reason = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
            say(f"Dagster could not be told: {str(reason).strip()}\nIt will be with the next report.")
            return
        self._days.clear()
        self._checks.clear()

    def _materialisation(self, instance: dg.DagsterInstance, asset: str, day: date) -> dg.AssetMaterialization:
        report = self._days[day]
        p50, p95 = np.quantile(report.latencies, [0.5, 0.95]) if report.latencies else (0.0, 0.0)
        return dg.AssetMaterialization(
            asset,
            partition=day.isoformat(),
            metadata={
                "batches": report.batches,
                "new trades": report.trades,
                **row_count(report.rows[asset], "partition_row_count"),
                "age of the oldest trade, p50 (s)": round(float(p50), 3),
                "age of the oldest trade, p95 (s)": round(float(p95), 3),
            },
            tags=self._lineage(instance, asset, day),
        )

    def _lineage(self, instance: dg.DagsterInstance, asset: str, day: date) -> dict[str, str]:
        """The tags by which Dagster knows what a materialisation was made of; a run writes the same by itself.

        Without them Dagster compares times, and finds results stale for ever that rest on what was never computed.
        """
        tags = {CODE_VERSION: "live", VERSION: f"{time.time_ns()}"}
        for parent in self.parents[asset]:
            wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(parent), asset_partitions=[day.isoformat()])
            records = instance.fetch_materializations(wanted, limit=1).records
            made_of = records[0] if records else None
            found = made_of.asset_materialization if made_of else None
            tags[f"{INPUT_EVENT}/{parent}"] = str(made_of.storage_id) if made_of else "NULL"
            tags[f"{INPUT_VERSION}/{parent}"] = ((found.tags or {}) if found else {}).get(VERSION, "INITIAL")
        return tags


def parents_of(definitions: dg.Definitions) -> dict[str, list[str]]:
    """Of each asset that a batch computes, in this order, the assets that it is made from."""
    graph = definitions.resolve_asset_graph()
    return {
        asset: sorted(key.to_user_string() for key in graph.get(dg.AssetKey(asset)).parent_keys)
        for asset in (*CHAIN, *FUNDS)
    }


def _evaluation(asset: str, check: CheckResult) -> dg.AssetCheckEvaluation:
    # Without a partition, as runs record it too: Dagster takes only one evaluation of a partition outside of a run.
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check.name,
        passed=check.passed,
        severity=SEVERITY[check.severity],
        description=check.description,
        metadata=check_metadata(check),
    )
