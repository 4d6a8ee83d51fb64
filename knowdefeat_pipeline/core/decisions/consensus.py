"""Consensus over signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from knowdefeat_pipeline.core.units import Bools, Floats

THRESHOLD = 0.60
DIRECTIONS = ("LONG", "SHORT")


@dataclass(frozen=True)
class Consensus:
    """What signals say together.

    direction: LONG, SHORT or NEUTRAL. agreement: the larger score's share of both, 0 without signals that count.
    contributions (N,): what each signal adds to the score of its side, in the order given.
    """

    direction: Literal["LONG", "SHORT", "NEUTRAL"]
    long_score: float
    short_score: float
    agreement: float
    contributions: Floats


def consensus(
    signals: Mapping[str, Sequence[Any]],
    strategy_weights: Mapping[str, float],
    timeframe_weights: Mapping[str, float] | None = None,
    threshold: float = THRESHOLD,
) -> Consensus:
    """Σ confidence/100 · weight(strategy) · weight(timeframe) on each side; the larger wins with `threshold` of both.

    `signals`: columns (N,) strategy_id, timeframe, direction (LONG | SHORT), confidence (0..100). Without
    `timeframe_weights` all count the same. Equal scores are NEUTRAL.
    Raises ValueError, naming the row, for a direction, confidence, strategy or timeframe that has no meaning or weight.
    """
    confidence = np.asarray(signals["confidence"], np.float64)
    is_long = np.array([side == "LONG" for side in signals["direction"]], bool)
    _check(signals, "direction", [side in DIRECTIONS for side in signals["direction"]], "is neither LONG nor SHORT")
    _check(signals, "confidence", (confidence >= 0) & (confidence <= 100), "is no confidence from 0 to 100")
    weight = _weights(signals, "strategy_id", strategy_weights)
    if timeframe_weights is not None:
        weight = weight * _weights(signals, "timeframe", timeframe_weights)
    contribution = confidence / 100 * weight
    long_score, short_score = float(contribution[is_long].sum()), float(contribution[~is_long].sum())
    total, larger = long_score + short_score, max(long_score, short_score)
    agreement = larger / total if total > 0 else 0.0
    decided = total > 0 and long_score != short_score and agreement >= threshold
    side: Literal["LONG", "SHORT"] = "LONG" if long_score > short_score else "SHORT"
    return Consensus(
        direction=side if decided else "NEUTRAL",
        long_score=long_score,
        short_score=short_score,
        agreement=agreement,
        contributions=contribution,
    )


def _weights(signals: Mapping[str, Sequence[Any]], column: str, weights: Mapping[str, float]) -> Floats:
    """The weight of each signal's name in a column. Raises ValueError for one without."""
    found = np.array([weights.get(name, np.nan) for name in signals[column]], np.float64)
    _check(signals, column, found >= 0, "has no weight; give it one of 0 or more")
    return found


def _check(signals: Mapping[str, Sequence[Any]], column: str, good: Sequence[bool] | Bools, problem: str) -> None:
    bad = np.flatnonzero(~np.asarray(good, bool))
    if len(bad):
        raise ValueError(f"signal {bad[0]}, {column}: {[*signals[column]][bad[0]]!r} {problem}")
