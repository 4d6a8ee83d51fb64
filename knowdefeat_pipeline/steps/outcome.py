"""What a step leaves: the rows that it wrote, and what its checks found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.rows import Columns, as_frame, chosen
from knowdefeat_pipeline.core.units import Array, Ints, each_day, micros
from knowdefeat_pipeline.errors import KnowDefeatError
from knowdefeat_pipeline.store.staleness import Mark

Figures = Mapping[str, int | float | str]


class CheckFailed(KnowDefeatError):
    """Results contradict each other and were not published; the message names the check and what it found."""

    page = "operations.md#what-failures-look-like"


@dataclass(frozen=True)
class CheckSpec:
    """A check of an asset's results. One that is `blocking` stops whatever rests on them."""

    asset: str
    name: str
    description: str
    blocking: bool = True


@dataclass(frozen=True)
class CheckResult:
    """What a check found: `figures` by name, and rows that show it."""

    name: str
    passed: bool
    figures: Figures = field(default_factory=dict)
    severity: Literal["ERROR", "WARN"] = "ERROR"
    description: str | None = None
    examples: pd.DataFrame | None = None


@dataclass(frozen=True)
class DayRows:
    """Rows as columns, each of the day whose as_of it has; `ends`: the as_of of each day, in order."""

    columns: Columns
    ends: Mapping[date, datetime]

    @property
    def day(self) -> Array:
        """The day of each row."""
        return np.array([*self.ends], object)[np.searchsorted(micros([*self.ends.values()]), self.columns["as_of"])]

    @property
    def counts(self) -> Mapping[date, int]:
        """How many rows each day has; days without any are absent."""
        return counts_of_days(self.ends, rows_per_end(self.columns, micros([*self.ends.values()])))

    def of_day(self, day: date) -> DayRows:
        """Those of one day."""
        ends = {day: self.ends[day]} if day in self.ends else {}
        return replace(
            self, columns=chosen(self.columns, np.isin(self.columns["as_of"], micros([*ends.values()]))), ends=ends
        )

    def frame(self) -> pd.DataFrame:
        """The rows with their days as a frame."""
        frame = as_frame(self.columns)
        frame.insert(0, "day", self.day)
        return frame


@dataclass(frozen=True)
class CountedRows:
    """Rows that stand in the database alone, as they are too many to be held: how many each day has, and some of those
    of the last day, `shown`, as a frame with a column `day`."""

    counts: Mapping[date, int]
    shown: pd.DataFrame


def counts_of_days(days: Iterable[date], counts: Ints) -> dict[date, int]:
    """How many rows each of these days has; days without any are absent."""
    return {day: count for day, count in zip(days, counts.tolist(), strict=True) if count}


def rows_per_end(rows: Columns, ends: Ints) -> Ints:
    """How many of the rows each of these as_of (µs, ascending) has."""
    count: Ints = np.bincount(np.searchsorted(ends, rows["as_of"]), minlength=len(ends))
    return count


@dataclass(frozen=True)
class StepResult:
    """The rows that a step wrote of an asset's days first..last, and what its checks found.

    `written`: the rows as a frame, with a column `day`, as columns, of which a frame is made once it is asked for, or
    counted.
    `marks`: of the days that it wrote, as they are recorded, for the steps that read these in the same transaction.
    """

    asset: str
    first: date
    last: date
    written: pd.DataFrame | DayRows | CountedRows
    checks: Sequence[CheckResult] = ()
    marks: Sequence[Mark] = field(default=(), kw_only=True)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The rows as a frame, with a column `day`; of those that are counted, the ones that are shown."""
        if isinstance(self.written, CountedRows):
            return self.written.shown
        return self.written.frame() if isinstance(self.written, DayRows) else self.written

    @cached_property
    def last_rows(self) -> pd.DataFrame:
        """The rows of the last day as a frame, with a column `day`: a frame of all of them would take long."""
        if isinstance(self.written, DayRows):
            return self.written.of_day(self.last).frame()
        return self.rows[self.rows["day"] == self.last]

    @cached_property
    def counts(self) -> Mapping[date, int]:
        """How many rows each day has; days without any are absent."""
        if isinstance(self.written, (CountedRows, DayRows)):
            return self.written.counts
        return Counter(self.written["day"].tolist())

    @property
    def days(self) -> list[date]:
        """The days that were computed."""
        return each_day(self.first, self.last)

    def require(self) -> None:
        """Raise CheckFailed for the first check that did not pass and is more than a warning."""
        for check in self.checks:
            if not check.passed and check.severity == "ERROR":
                figures = ", ".join(f"{name}: {value}" for name, value in check.figures.items())
                raise CheckFailed(f"The check {check.name} on {self.asset} failed ({figures}).")
