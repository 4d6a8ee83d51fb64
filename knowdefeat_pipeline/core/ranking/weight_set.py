"""A set of weights: 19 signed numbers, one decimal, whose absolute values sum to exactly 100.0; and its versions."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from knowdefeat_pipeline.core.schema.variables import SLOW_NAMES, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats
from knowdefeat_pipeline.errors import KnowDefeatError

TOTAL_TENTHS = 1000


class WeightError(KnowDefeatError):
    """A set of weights that cannot be used; the message says what is wrong and how to mend it."""

    page = "guides/weights.md"


def validate(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights in the house's order, rounded to the tenth that they already are; a slow variable left out counts 0.

    Raises WeightError for missing or unknown names, non-finite values, more than one decimal, or Σ|w| other than 100.0.
    """
    weights = {**dict.fromkeys(SLOW_NAMES, 0.0), **weights}  # as in the sets of Know-Defeat
    missing = [name for name in VARIABLE_NAMES if name not in weights]
    unknown = [name for name in weights if name not in VARIABLE_NAMES]
    if missing or unknown:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
        raise WeightError(f"a set of weights names the variables; {'; '.join(parts)}")
    for name in VARIABLE_NAMES:
        value = weights[name]
        if not np.isfinite(value):
            raise WeightError(f"{name} is {value}; a weight is a finite number")
        if abs(value) > TOTAL_TENTHS / 10:
            raise WeightError(f"{name} is {value}; the absolute weights together make 100.0 (normalise to scale them)")
        if abs(value * 10 - round(value * 10)) > 1e-6:
            raise WeightError(f"{name} is {value}; weights have one decimal (normalise to round them)")
    tenths = {name: round(weights[name] * 10) for name in VARIABLE_NAMES}
    total = sum(abs(value) for value in tenths.values())
    if total != TOTAL_TENTHS:
        raise WeightError(f"absolute weights sum to {total / 10:.1f}, not 100.0 (normalise to scale them)")
    return {name: value / 10 for name, value in tenths.items()}


def normalise(weights: Mapping[str, float]) -> dict[str, float]:
    """The nearest valid set in the same proportions: scaled to Σ|w| = 100 and rounded by largest remainder.

    Names left out count 0. Raises WeightError for unknown names, non-finite values, or when all are 0.
    """
    unknown = [name for name in weights if name not in VARIABLE_NAMES]
    if unknown:
        raise WeightError(f"unknown: {', '.join(unknown)}; the variables are {', '.join(VARIABLE_NAMES)}")
    values = np.array([float(weights.get(name, 0.0)) for name in VARIABLE_NAMES])
    if not np.isfinite(values).all():
        raise WeightError("every weight is a finite number")
    largest = np.abs(values).max()
    if largest == 0:
        raise WeightError("at least one weight differs from 0")
    size = np.abs(values) / largest
    share = size / size.sum() * TOTAL_TENTHS
    tenths = np.floor(share).astype(int)
    remainder = share - tenths
    # Ties go to the earlier variable, so that the result is the same everywhere.
    for at in np.argsort(-remainder, kind="stable")[: TOTAL_TENTHS - tenths.sum()]:
        tenths[at] += 1
    signed = np.where(values < 0, -tenths, tenths)
    return {name: int(value) / 10 for name, value in zip(VARIABLE_NAMES, signed, strict=True)}


Author = Literal["default", "manual", "ai"]
ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class WeightVersion:
    """One immutable set of weights. `weights`: the 19 by name, in the order of the house. `in_force_from`: None =
    always; a version counts for every as_of strictly later than that, so that no ranking is rewritten by what was
    learned from it."""

    version: int
    author: Author
    reason: str
    in_force_from: datetime | None
    weights: Mapping[str, float]

    @property
    def vector(self) -> Floats:
        """The 19 weights (19,) in the order of the house."""
        return np.array([self.weights[name] for name in VARIABLE_NAMES])


def points_moved(version: WeightVersion, before: WeightVersion | None) -> float | None:
    """Points by which a version differs from the one before it; None for the first."""
    if before is None:
        return None
    return round(sum(abs(version.weights[name] - before.weights[name]) for name in VARIABLE_NAMES), 1)


def version_in_force(versions: Sequence[WeightVersion], as_of: datetime) -> WeightVersion:
    """The version that counts at as_of: the last of those in force from strictly before it.

    `versions` in the order in which they came into force. Raises LookupError where none was in force yet.
    """
    return _last(versions, bisect_left(versions, as_of, key=_in_force_from), as_of)


def version_in_force_after(versions: Sequence[WeightVersion], as_of: datetime) -> WeightVersion:
    """The version that counts for whatever comes after as_of: what was learned at as_of among them.

    `versions` in the order in which they came into force. Raises LookupError where none was in force yet.
    """
    return _last(versions, bisect_right(versions, as_of, key=_in_force_from), as_of)


def _in_force_from(version: WeightVersion) -> datetime:
    return version.in_force_from or ALWAYS


def _last(versions: Sequence[WeightVersion], count: int, as_of: datetime) -> WeightVersion:
    if not count:
        raise LookupError(f"no version of the weights is in force at {as_of:%Y-%m-%d %H:%M} UTC")
    return versions[count - 1]
