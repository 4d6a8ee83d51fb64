"""Which days of an asset are computed, failed or missing, by what Dagster recorded of its partitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar
from knowdefeat_pipeline.core.units import each_day


@dataclass(frozen=True)
class PartitionStates:
    """The days of one asset.

    Failed: the last run that was to compute the day did not. Missing: never computed, though an earlier day was and
    trades closed on the day or after it. What lies before the first computed day was never asked for.
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
    instance: dg.DagsterInstance, assets: Sequence[str], traded: tuple[date, date] | None, calendar: Calendar
) -> list[PartitionStates]:
    """The states of each asset's days within `traded`, the first and the last day with trades."""
    days = each_day(max(traded[0], calendar.first_day), traded[1]) if traded else []
    return [_states(instance, asset, days, calendar) for asset in assets]


def _states(instance: dg.DagsterInstance, asset: str, days: list[date], calendar: Calendar) -> PartitionStates:
    keys = [day.isoformat() for day in days]
    statuses = instance.get_status_by_partition(dg.AssetKey(asset), keys, calendar.partitions) or {}
    # The method is public and the enum that it returns is not: its values are as the API spells them.
    of_day = {day: status.value if (status := statuses.get(key)) else None for day, key in zip(days, keys, strict=True)}
    computed = [day for day, status in of_day.items() if status == "MATERIALIZED"]
    failed = [day for day, status in of_day.items() if status == "FAILED"]
    begun = min([*computed, *failed], default=date.max)
    missing = [day for day, status in of_day.items() if status is None and day > begun]
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
