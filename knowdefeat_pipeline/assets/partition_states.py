"""Which days of an asset are computed, failed or missing, by what Dagster recorded of its partitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from knowdefeat_pipeline.assets.partitions import DAILY, FIRST_DAY, each_day


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
    instance: dg.DagsterInstance, assets: Sequence[str], traded: tuple[date, date] | None
) -> list[PartitionStates]:
    """The states of each asset's days within `traded`, the first and the last day with trades."""
    days = each_day(max(traded[0], FIRST_DAY), traded[1]) if traded else []
    return [_states(instance, asset, days) for asset in assets]


def _states(instance: dg.DagsterInstance, asset: str, days: list[date]) -> PartitionStates:
    keys = [day.isoformat() for day in days]
    status = instance.get_status_by_partition(dg.AssetKey(asset), keys, DAILY) or {}
    of_day = {day: status.get(key) for day, key in zip(days, keys, strict=True)}
    computed = [day for day, state in of_day.items() if state == AssetPartitionStatus.MATERIALIZED]
    failed = [day for day, state in of_day.items() if state == AssetPartitionStatus.FAILED]
    begun = min([*computed, *failed], default=date.max)
    missing = [day for day, state in of_day.items() if state is None and day > begun]
    return PartitionStates(asset, computed, failed, missing)


def ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Ascending days as runs of consecutive ones: (first, last) of each."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and found[-1][1] + timedelta(days=1) == day:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def told(days: Sequence[date], most: int = 5) -> str:
    """The days as ranges in words, the first few of them; "none" without any."""
    runs = ranges(days)
    parts = [f"{first}" if first == last else f"{first} to {last}" for first, last in runs[:most]]
    more = [f"and {len(runs) - most:,} more ranges"] if len(runs) > most else []
    return ", ".join([*parts, *more]) or "none"
