"""Calibration: do stated probabilities of winning come true? Wins and losses count alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.units import Array, Floats, Ints

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


def calibration(probability: Floats, won: Array, bins: int = 10) -> Calibration:
    """Judge probabilities (N,) from 0 to 1 against outcomes (N,); `bins` of equal width.

    Raises ValueError, naming the first, for a probability outside 0..1: a confidence of 80 is on another scale.
    """
    _check(probability)
    won = np.asarray(won, dtype=float)
    count, table = len(probability), reliability(probability, won, np.zeros(len(probability), dtype=int), bins)
    off = np.abs(table["stated"] - table["realised"])
    return Calibration(
        trades=count,
        brier=float(np.mean((probability - won) ** 2)) if count else np.nan,
        error=float((table["trades"] * off).sum() / count) if count else np.nan,
        bins=table.drop(columns="group"),
    )


def calibrations(probability: Floats, won: Array, group: Ints, groups: int, bins: int = 10) -> pd.DataFrame:
    """One row per group 0..groups: stated_trades, brier_score, calibration_error (NaN without trades) and reliability.

    `group` (N,) of probabilities and outcomes (N,). Where a probability is NaN none was stated, and the row is left
    out. `reliability` is the list of the group's bins as records, see `Calibration.bins`. Raises like `calibration`.
    """
    stated = ~np.isnan(probability)
    probability, won, group = probability[stated], np.asarray(won, dtype=float)[stated], group[stated]
    _check(probability)
    trades = np.bincount(group, minlength=groups)
    table = reliability(probability, won, group, bins)
    off = table["trades"] * np.abs(table["stated"] - table["realised"])
    sums = [(group, (probability - won) ** 2), (table["group"].to_numpy(), off.to_numpy())]
    brier, error = (
        np.divide(np.bincount(of, what, minlength=groups), trades, out=np.full(groups, np.nan), where=trades > 0)
        for of, what in sums
    )
    records: list[list[dict[str, float]]] = [[] for _ in range(groups)]
    for of, record in zip(table["group"], table.drop(columns="group").to_dict("records"), strict=True):
        records[of].append(record)
    return pd.DataFrame(
        {
            "stated_trades": trades,
            "brier_score": brier,
            "calibration_error": error,
            "reliability": pd.Series(records, dtype=object),
        }
    )


def reliability(probability: Floats, won: Floats, group: Ints, bins: int = 10) -> pd.DataFrame:
    """The bins that hold anything, by group: group, and what `Calibration.bins` says."""
    slot = group * bins + np.minimum((probability * bins).astype(int), bins - 1)
    filled, place, size = np.unique(slot, return_inverse=True, return_counts=True)
    realised = np.bincount(place, won, minlength=len(filled)) / size
    low, high = wilson(realised, size)
    return pd.DataFrame(
        {
            "group": filled // bins,
            "low": filled % bins / bins,
            "high": (filled % bins + 1) / bins,
            "trades": size,
            "stated": np.bincount(place, probability, minlength=len(filled)) / size,
            "realised": realised,
            "realised_low": low,
            "realised_high": high,
        }
    )


def _check(probability: Floats) -> None:
    bad = np.flatnonzero(~((probability >= 0) & (probability <= 1)))
    if len(bad):
        raise ValueError(
            f"row {bad[0]}: {probability[bad[0]]} is no probability from 0 to 1; declare the scale where it is read"
        )


def wilson(rate: Floats, trades: Ints, z: float = Z95) -> tuple[Floats, Floats]:
    """The score interval of a proportion (Wilson, 1927)."""
    centre = (rate + z**2 / (2 * trades)) / (1 + z**2 / trades)
    half = z / (1 + z**2 / trades) * np.sqrt(rate * (1 - rate) / trades + z**2 / (4 * trades**2))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
