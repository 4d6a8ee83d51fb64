"""What a step leaves: the rows that it wrote, and what its checks found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.rows import Columns, as_frame
from knowdefeat_pipeline.core.units import each_day, micros
from knowdefeat_pipeline.errors import KnowDefeatError

Figures = Mapping[str, int | float | str]


class CheckFailed(KnowDefeatError):
    """Results contradict each other and were not published; the message names the check and what it found."""


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
class StepResult:
    """The rows (with a column `day`) that a step wrote of an asset's days first..last, and what its checks found."""

    asset: str
    first: date
    last: date
    rows: pd.DataFrame
    checks: Sequence[CheckResult] = ()

    @cached_property
    def counts(self) -> Mapping[date, int]:
        """How many rows each day has; days without any are absent."""
        return Counter(self.rows["day"].tolist())

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


def with_day(rows: Columns, ends: Mapping[date, datetime]) -> pd.DataFrame:
    """The rows of these days as a frame, each with the day whose as_of it has."""
    frame = as_frame(rows)
    number = np.searchsorted(micros([*ends.values()]), rows["as_of"])
    frame.insert(0, "day", np.array([*ends], object)[number])
    return frame
