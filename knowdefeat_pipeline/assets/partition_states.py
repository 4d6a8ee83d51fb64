"""Which days of an asset are computed or missing, by their marks, and which failed, by what Dagster recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import psycopg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.store.staleness import MARKET, RANKING, computed_days


@dataclass(frozen=True)
class PartitionStates:
    """The days of one asset.

    Failed: the last run that was to compute the day did not. Missing: not computed, though an earlier day is and
    trades closed on the day or after it. What lies before the first computed day was never asked for; of the market no
    day is missing, as one that lacks what its bars tell is stale.
    """

    asset: str
    computed: list[date]
    failed: list[date]
    missing: list[date]

    @property
    def complete(self) -> bool:
        """Whether nothing failed and nothing is missing."""
        return not self.failed and not self.missing


def partition_states(
    instance: dg.DagsterInstance,
    connection: psycopg.Connection,
    assets: Sequence[str],
    traded: tuple[date, date] | None,
    calendar: Calendar,
) -> list[PartitionStates]:
    """The states of each asset's days within `traded`, the first and the last day with trades."""
    days = each_day(max(traded[0], calendar.first_day), traded[1]) if traded else []
    # Not by Dagster's records: it hears late of the live listener's batches, and never of days that were taken away.
    marked = computed_days(connection)
    trades = marked[RANKING.base]  # a day's trades have no mark: whoever computes its metrics looks at them
    return [_states(instance, asset, days, marked.get(asset, trades), calendar) for asset in assets]


def _states(
    instance: dg.DagsterInstance, asset: str, days: list[date], marked: set[date], calendar: Calendar
) -> PartitionStates:
    keys = [day.isoformat() for day in days]
    statuses = instance.get_status_by_partition(dg.AssetKey(asset), keys, calendar.partitions) or {}
    # The method is public and the enum that it returns is not: its values are as the API spells them.
    failed = [
        day
        for day, key in zip(days, keys, strict=True)
        if (status := statuses.get(key)) is not None and status.value == "FAILED"
    ]
    succeeded = marked.difference(failed)
    computed = [day for day in days if day in succeeded]
    begun = date.max if asset in MARKET.assets else min([*computed, *failed], default=date.max)
    known = marked.union(failed)
    missing = [day for day in days if day > begun and day not in known]
    return PartitionStates(asset, computed, failed, missing)


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Ascending days as runs of consecutive ones: (first, last) of each."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and runs[-1][1] + timedelta(days=1) == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def in_words(days: Sequence[date], most: int = 5) -> str:
    """The days as ranges in words, the first few of them; "none" without any."""
    runs = ranges(days)
    parts = [f"{first}" if first == last else f"{first} to {last}" for first, last in runs[:most]]
    more = [f"and {len(runs) - most:,} more ranges"] if len(runs) > most else []
    return ", ".join([*parts, *more]) or "none"
