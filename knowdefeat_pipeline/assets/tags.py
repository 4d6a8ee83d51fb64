"""The tags of a run by which Dagster knows its days, its priority and where it belongs.

Dagster documents these names; its constants for them are private.
"""

from collections.abc import Mapping
from datetime import date

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PRIORITY = "dagster/priority"
REPOSITORY = ".dagster/repository"


def range_tags(first: date, last: date) -> dict[str, str]:
    """What makes a run cover the days first..last."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def covered_range(tags: Mapping[str, str]) -> tuple[date, date] | None:
    """The first and the last day that a run with these tags covers; None without days."""
    one = tags.get(PARTITION)
    first, last = tags.get(RANGE_START, one), tags.get(RANGE_END, one)
    return (date.fromisoformat(first), date.fromisoformat(last)) if first and last else None
