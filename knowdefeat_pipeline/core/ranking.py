"""The ranking: normalise across bots, weigh, order, and say what moved each bot.

Scores depend on ranks of scale-free figures alone, so neither a bot's stake nor its name can change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.figures import VARIABLE_NAMES, VARIABLES
from knowdefeat_pipeline.core.series import Floats

MIN_TRADES = 5
TIE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Normalised:
    """The 17 variables of the eligible bots as ranks in [-0.5, 0.5]; shape (bots, 17), 0 where absent."""

    bot_id: np.ndarray
    ranks: Floats


def scale_free(metrics: pd.DataFrame) -> Floats:
    """Oriented variables in units of the bot's own volatility; shape (bots, 17), NaN where absent.

    `metrics` are rows of `bot_metrics` with ticker `*`. Performance over w days is divided by volatility·√w, the mean
    drawdown amount by volatility·√30 and turned, profit per second by volatility; percents and scores stay.
    """
    volatility = metrics["volatility"].to_numpy(np.float64)
    volatility = np.where(volatility > 0, volatility, np.nan)
    columns = []
    for variable in VARIABLES:
        values = metrics[variable.measure].to_numpy(np.float64) * variable.orientation
        if variable.scaling in ("performance", "drawdown"):
            values = values / (volatility * np.sqrt(variable.window_days))
        elif variable.scaling == "per_second":
            values = values / volatility
        columns.append(values)
    return np.stack(columns, axis=1) if len(metrics) else np.empty((0, len(VARIABLES)))


def subtract_group(values: Floats, group: np.ndarray) -> Floats:
    """Less λ = (k-1)/(k+3) of the mean of the bot's group of k, per variable; `group` are codes 0..g-1."""
    size = np.bincount(group)
    shrink = (size - 1) / (size + 3)
    known = ~np.isnan(values)
    out = values.copy()
    for column in range(values.shape[1]):
        count = np.bincount(group, known[:, column])
        total = np.bincount(group, np.where(known[:, column], values[:, column], 0.0))
        out[:, column] -= (shrink * total / np.maximum(count, 1))[group]
    return out


def centred_ranks(values: Floats) -> Floats:
    """Ranks of each column from -0.5 (least) to +0.5, ties averaged; 0 for NaN and for a column of one.

    Values that differ by no more than rounding (1e-9 of their size) are ties: a bot's stake, which changes the last
    bits of its figures, must not break a tie.
    """
    out = np.zeros(values.shape)
    for column in range(values.shape[1]):
        present = np.flatnonzero(~np.isnan(values[:, column]))
        if len(present) < 2:
            continue
        order = present[np.argsort(values[present, column], kind="stable")]
        ordered = values[order, column]
        size = np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1]))
        first = np.flatnonzero(np.append(True, np.diff(ordered) > TIE_TOLERANCE * np.maximum(size, 1e-3)))
        stop = np.append(first[1:], len(ordered))
        average = (first + stop - 1) / 2
        out[order, column] = np.repeat(average, stop - first) / (len(ordered) - 1) - 0.5
    return out


def normalise(metrics: pd.DataFrame) -> Normalised:
    """Steps 1 and 2 of the ranking for one as_of: `metrics` are the eligible bots' rows with ticker `*`."""
    values = scale_free(metrics)
    names = metrics["main_ticker"].astype(str) + "\x00" + metrics["main_direction"].astype(str)
    group = pd.factorize(names)[0]
    if len(group):
        values = subtract_group(values, group)
    return Normalised(metrics["bot_id"].to_numpy(), centred_ranks(values))


def rank_bots(metrics: pd.DataFrame, weights: Mapping[str, float], *, min_trades: int = MIN_TRADES) -> pd.DataFrame:
    """One as_of's ranking, a row per bot: bot_id, rank, rank_score, eligible, reason and `<variable>_points`.

    `metrics` are all rows of one as_of with ticker `*`. Bots under `min_trades` closed trades in the trailing 30 days
    are listed last with NULL rank, score and points. Points sum to rank_score - 50.
    """
    eligible = (metrics["trades"] >= min_trades).to_numpy()
    normalised = normalise(metrics[eligible])
    weight = np.array([weights[name] for name in VARIABLE_NAMES])
    points = 100 * normalised.ranks * weight / np.abs(weight).sum()
    score = 50 + points.sum(axis=1)
    ranked = pd.DataFrame(points, columns=[f"{name}_points" for name in VARIABLE_NAMES])
    ranked.insert(0, "rank_score", score)
    ranked.insert(0, "bot_id", normalised.bot_id)
    # Scores that differ by rounding alone are equal: the bot_id decides.
    ranked = ranked.iloc[np.lexsort((normalised.bot_id, -np.round(score, 9)))].reset_index(drop=True)
    ranked.insert(1, "rank", pd.Series(np.arange(1, len(ranked) + 1), dtype="Int32"))
    ranked["eligible"], ranked["reason"] = True, None
    left_out = metrics.loc[~eligible, ["bot_id", "trades"]].sort_values("bot_id")
    unranked = pd.DataFrame({"bot_id": left_out["bot_id"], "eligible": False})
    unranked["reason"] = [
        f"{trades} closed {'trade' if trades == 1 else 'trades'} in 30 days, {min_trades} needed"
        for trades in left_out["trades"]
    ]
    return pd.concat([ranked, unranked], ignore_index=True) if len(unranked) else ranked


def top_movers(row: Mapping[str, float], count: int = 3) -> list[tuple[str, float]]:
    """The variables that moved a bot most, as (name, points), largest first; those of 0 points are left out."""
    points = [(name, float(row[f"{name}_points"])) for name in VARIABLE_NAMES]
    moved = [item for item in points if item[1] != 0 and not np.isnan(item[1])]
    return sorted(moved, key=lambda item: -abs(item[1]))[:count]
