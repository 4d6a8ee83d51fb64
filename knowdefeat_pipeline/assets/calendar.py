"""The days that assets are computed by: one partition is one UTC day, and a run covers a range of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import dagster as dg

from knowdefeat_pipeline.settings import Settings

# The chain is refreshed once a day at least: late by more than an hour or two deserves a look, half a day an alarm.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

AssetDecorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


@dataclass(frozen=True)
class Calendar:
    """The first day that can be computed, and the most days that one run covers.

    A longer range is cut into several runs, so that the running day never waits long for one of them.
    """

    first_day: date = Settings.first_day
    chunk_days: int = Settings.chunk_days

    @cached_property
    def partitions(self) -> dg.DailyPartitionsDefinition:
        """One partition a UTC day; the running day has one too, or new trades would wait for midnight."""
        return dg.DailyPartitionsDefinition(start_date=self.first_day.isoformat(), end_offset=1, timezone="UTC")

    def asset(self, **options: Any) -> AssetDecorator:
        """`dagster.asset` by day, a range of days in one run."""
        with warnings.catch_warnings():
            # Stable enough to build on; a notice at every start would only teach people to overlook notices.
            warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy")
            decorator: AssetDecorator = dg.asset(
                partitions_def=self.partitions,
                backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=self.chunk_days),
                owners=["team:knowdefeat"],
                **options,
            )
        return decorator

    def refreshed_asset(self, **options: Any) -> AssetDecorator:
        """The same of an asset that is to be fresh every day."""
        return self.asset(freshness_policy=FRESH, **options)


def covered_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """The first and the last day of the run."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)
