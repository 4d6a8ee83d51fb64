"""Calibration: do stated probabilities of winning come true? Wins and losses count alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.series import Floats

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Calibration:
    """brier: mean of (probability - outcome)². error: expected calibration error, Σ share of bin · |stated - realised|
    (Naeini, Cooper and Hauskrecht, 2015). bins: one row per bin that holds anything: low, high, trades, stated (mean
    probability), realised (win rate) and its 95 % Wilson interval realised_low, realised_high. NaN without trades."""

    trades: int
    brier: float
    error: float
    bins: pd.DataFrame


def calibration(probability: Floats, won: np.ndarray, bins: int = 10) -> Calibration:
    """Judge probabilities (N,) from 0 to 1 against outcomes (N,); `bins` of equal width.

    Raises ValueError, naming the first, for a probability outside 0..1: a confidence of 80 is on another scale.
    """
    bad = np.flatnonzero(~((probability >= 0) & (probability <= 1)))
    if len(bad):
        raise ValueError(
            f"row {bad[0]}: {probability[bad[0]]} is no probability from 0 to 1; declare the scale where it is read"
        )
    won = np.asarray(won, dtype=float)
    slot = np.minimum((probability * bins).astype(int), bins - 1)
    trades = np.bincount(slot, minlength=bins)
    filled = np.flatnonzero(trades)
    size = trades[filled]
    stated = np.bincount(slot, probability, minlength=bins)[filled] / size
    realised = np.bincount(slot, won, minlength=bins)[filled] / size
    low, high = wilson(realised, size)
    count = len(probability)
    return Calibration(
        trades=count,
        brier=float(np.mean((probability - won) ** 2)) if count else np.nan,
        error=float(size @ np.abs(stated - realised) / count) if count else np.nan,
        bins=pd.DataFrame(
            {
                "low": filled / bins,
                "high": (filled + 1) / bins,
                "trades": size,
                "stated": stated,
                "realised": realised,
                "realised_low": low,
                "realised_high": high,
            }
        ),
    )


def wilson(rate: Floats, trades: np.ndarray, z: float = Z95) -> tuple[Floats, Floats]:
    """The score interval of a proportion (Wilson, 1927)."""
    centre = (rate + z**2 / (2 * trades)) / (1 + z**2 / trades)
    half = z / (1 + z**2 / trades) * np.sqrt(rate * (1 - rate) / trades + z**2 / (4 * trades**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
