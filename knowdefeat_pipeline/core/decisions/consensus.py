"""Consensus over signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

THRESHOLD = 0.60
DIRECTIONS = ("LONG", "SHORT")


@dataclass(frozen=True)
class Consensus:
    """What signals say together.

    direction: LONG, SHORT or NEUTRAL. agreement: the larger score's share of both, 0 without signals that count.
    contributions: the signals with the `contribution` of each to its side's score, in the order given.
    """

    direction: Literal["LONG", "SHORT", "NEUTRAL"]
    long_score: float
    short_score: float
    agreement: float
    contributions: pd.DataFrame


def consensus(
    signals: pd.DataFrame,
    strategy_weights: Mapping[str, float],
    timeframe_weights: Mapping[str, float] | None = None,
    threshold: float = THRESHOLD,
) -> Consensus:
    """Σ confidence/100 · weight(strategy) · weight(timeframe) on each side; the larger wins with `threshold` of both.

    `signals`: columns strategy_id, timeframe, direction (LONG | SHORT), confidence (0..100). Without
    `timeframe_weights` all count the same. Equal scores are NEUTRAL.
    Raises ValueError, naming the row, for a direction, confidence, strategy or timeframe that has no meaning or weight.
    """
    _check(signals, "direction", signals["direction"].isin(DIRECTIONS), "is neither LONG nor SHORT")
    _check(signals, "confidence", signals["confidence"].between(0, 100), "is no confidence from 0 to 100")
    weight = signals["strategy_id"].map(dict(strategy_weights)).astype(float)
    _check(signals, "strategy_id", weight >= 0, "has no weight; give it one of 0 or more")
    if timeframe_weights is not None:
        of_timeframe = signals["timeframe"].map(dict(timeframe_weights)).astype(float)
        _check(signals, "timeframe", of_timeframe >= 0, "has no weight; give it one of 0 or more")
        weight = weight * of_timeframe
    contribution = (signals["confidence"] / 100 * weight).to_numpy(np.float64)
    is_long = (signals["direction"] == "LONG").to_numpy()
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
        contributions=signals.assign(contribution=contribution),
    )


def _check(signals: pd.DataFrame, column: str, good: pd.Series, problem: str) -> None:
    bad = np.flatnonzero(~good.to_numpy(dtype=bool))
    if len(bad):
        raise ValueError(f"signal {bad[0]}, {column}: {signals[column].iloc[bad[0]]!r} {problem}")
