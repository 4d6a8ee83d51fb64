"""One partition is one UTC day; which days a run covers and at which instants their figures are true."""

import os
from datetime import UTC, date, datetime, timedelta

import dagster as dg

DEFAULT_FIRST_DAY = "2015-01-01"
FIRST_DAY = date.fromisoformat(os.environ.get("KNOWDEFEAT_FIRST_DAY", DEFAULT_FIRST_DAY))

# end_offset=1: the running day has a partition, or new trades would wait for midnight.
DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), end_offset=1, timezone="UTC")


# A longer range is cut into runs of so many days, so that the running day never waits long for one of them.
DEFAULT_CHUNK_DAYS = 90
CHUNK_DAYS = int(os.environ.get("KNOWDEFEAT_CHUNK_DAYS", DEFAULT_CHUNK_DAYS))


def covered_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """The first and the last day of the run."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)


def each_day(first: date, last: date) -> list[date]:
    """All days from first to last."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def span(first: date, last: date) -> tuple[datetime, datetime]:
    """The instants at which the first day begins and the last one ends."""
    return day_end(first - timedelta(days=1)), day_end(last)


def day_end(day: date) -> datetime:
    """The midnight at which the day ends."""
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC)


def as_of(day: date, now: datetime) -> datetime:
    """The instant at which a day's figures are true: its end, or `now` while it runs."""
    return min(day_end(day), now)
