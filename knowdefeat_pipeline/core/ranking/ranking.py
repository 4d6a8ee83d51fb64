"""The ranking: normalise across bots, weigh, order, and say what moved each bot.

Scores depend on ranks of scale-free figures alone, so neither a bot's stake nor its name can change them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from knowdefeat_pipeline.core.rows import Columns, as_frame, codes
from knowdefeat_pipeline.core.schema.variables import VARIABLE_NAMES, VARIABLES
from knowdefeat_pipeline.core.units import Bools, Floats, Ints, Texts

if TYPE_CHECKING:
    import pandas as pd

MIN_TRADES = 5
TIE_TOLERANCE = 1e-9
RANKED_BY = (
    "bot_id", "trades", "volatility", "main_ticker", "main_direction", *(variable.measure for variable in VARIABLES),
)  # fmt: skip


def scale_free(metrics: pd.DataFrame | Columns) -> Floats:
    """Oriented variables in units of the bot's own volatility; shape (bots, 19), NaN where absent.

    `metrics` are rows of `bot_metrics` with ticker `*`. Performance over w days is divided by volatility·√w, the mean
    drawdown amount by volatility·√30 and turned, profit per second by volatility; percents and scores stay.
    """
    volatility = np.asarray(metrics["volatility"], np.float64)
    volatility = np.where(volatility > 0, volatility, np.nan)
    columns = []
    for variable in VARIABLES:
        values = np.asarray(metrics[variable.measure], np.float64) * variable.orientation
        if variable.scaling in ("performance", "drawdown"):
            values = values / (volatility * np.sqrt(variable.window_days))
        elif variable.scaling == "per_second":
            values = values / volatility
        columns.append(values)
    return np.stack(columns, axis=1)


def subtract_group(values: Floats, group: Ints) -> Floats:
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


def centred_ranks(values: Floats, as_of: Ints) -> Floats:
    """Ranks of each column from -0.5 (least) to +0.5 within each as_of (codes 0..n-1, one per row), ties averaged.

    0 for NaN and for a column of one. Values that differ by no more than rounding (1e-9 of their size) are ties: a
    bot's stake, which changes the last bits of its figures, must not break a tie.
    """
    out = np.zeros(values.shape)
    compact = as_of.astype(np.min_scalar_type(as_of.max(initial=0)))  # small integers sort in linear time
    for column in range(values.shape[1]):
        present = np.flatnonzero(~np.isnan(values[:, column]))
        if len(present) == 0:
            continue
        order = present[np.argsort(values[present, column])]
        order = order[np.argsort(compact[order], kind="stable")]
        ordered, instant = values[order, column], as_of[order]
        begins = np.diff(instant, prepend=-1) != 0
        size = np.maximum(np.abs(ordered), np.abs(np.append(0.0, ordered[:-1])))
        first = np.flatnonzero(begins | (np.diff(ordered, prepend=0.0) > TIE_TOLERANCE * np.maximum(size, 1e-3)))
        stop = np.append(first[1:], len(ordered))
        begin = np.flatnonzero(begins)
        count = np.diff(begin, append=len(ordered))
        number = np.cumsum(begins)[first] - 1
        average = ((first + stop - 1) / 2 - begin[number]) / np.maximum(count[number] - 1, 1)
        out[order, column] = np.repeat(np.where(count[number] > 1, average - 0.5, 0.0), stop - first)
    return out


def ranked_variables(metrics: pd.DataFrame | Columns) -> Floats:
    """Steps 1 and 2 of the ranking: the 19 variables as ranks in [-0.5, 0.5] within each as_of, 0 where absent.

    `metrics` are rows of eligible bots with ticker `*`, of any number of as_ofs; shape (rows, 19).
    """
    as_of = codes(metrics["as_of"])
    group = as_of
    for name in ("main_ticker", "main_direction"):
        code = codes(metrics[name])
        group = group * (code.max(initial=0) + 1) + code
    return centred_ranks(subtract_group(scale_free(metrics), codes(group)), as_of)


def rank_numbers(metrics: Columns) -> tuple[Ints, Ints]:
    """`ranked_variables` of the bots of one as_of as whole numbers (bots, 19), and the steps of each variable (19,).

    A rank is number / 2 / steps - 1/2, to the last bit: so few digits carry it anywhere.
    """
    steps = np.maximum((~np.isnan(scale_free(metrics))).sum(axis=0) - 1, 1)
    numbers = np.rint((ranked_variables(metrics) + 0.5) * 2 * steps).astype(np.int64)
    return numbers, steps


def rank_bots(
    metrics: pd.DataFrame, weights: Mapping[str, float | Floats], *, min_trades: int = MIN_TRADES
) -> pd.DataFrame:
    """The ranking of each as_of, a row per bot: as_of, bot_id, rank, rank_score, eligible, reason, `<variable>_points`.

    `metrics` are all rows with ticker `*` of the as_ofs; a weight may be one number or one per row. Bots under
    `min_trades` closed trades in the trailing 30 days are listed last with NULL rank, score and points. Points sum to
    rank_score - 50. The index is that of the metrics' rows.
    """
    import pandas as pd

    given = {name: metrics[name].to_numpy() for name in RANKED_BY} | {
        "as_of": pd.factorize(metrics["as_of"], sort=True)[0]
    }
    columns, order = ranking_rows(given, weights, min_trades=min_trades)
    rows = as_frame({name: values for name, values in columns.items() if name != "as_of"})
    rows.insert(0, "as_of", metrics["as_of"].array[order])
    return rows.set_axis(metrics.index[order])


def ranking_rows(
    metrics: Columns, weights: Mapping[str, float | Floats], *, min_trades: int = MIN_TRADES
) -> tuple[Columns, Ints]:
    """`rank_bots` of columns, and which of the metrics' rows each of its rows is of.

    `as_of` may be numbers in the order of the instants. Ranks are floats, NaN where there is none.
    """
    eligible = metrics["trades"] >= min_trades
    weight = np.stack([np.broadcast_to(weights[name], len(eligible)) for name in VARIABLE_NAMES], axis=1)
    points = np.full(weight.shape, np.nan)
    ranked = ranked_variables({name: metrics[name][eligible] for name in ("as_of", *RANKED_BY)})
    points[eligible] = 100 * ranked * weight[eligible]
    points /= np.abs(weight).sum(axis=1, keepdims=True)
    points += 0.0  # a weight of 0 on a rank below the middle makes -0, which exports would show
    score = 50 + points.sum(axis=1)
    bot, as_of = metrics["bot_id"], metrics["as_of"]
    # Scores that differ by rounding alone are equal: the bot_id decides.
    order = np.lexsort((bot, -np.round(score, 9), ~eligible, as_of))
    eligible, as_of = eligible[order], as_of[order]
    place = np.arange(1, len(order) + 1) - np.searchsorted(as_of, as_of)
    columns = {
        "as_of": as_of,
        "bot_id": bot[order],
        "rank": np.where(eligible, place, np.nan),
        "rank_score": score[order],
        **{f"{name}_points": points[order, at] for at, name in enumerate(VARIABLE_NAMES)},
        "eligible": eligible,
        "reason": _reasons(metrics["trades"][order], eligible, min_trades),
    }
    return columns, order


def _reasons(trades: Ints, eligible: Bools, min_trades: int) -> Texts:
    out = np.full(len(trades), None, dtype=object)
    for count in np.unique(trades[~eligible]):
        text = f"{count} closed {'trade' if count == 1 else 'trades'} in 30 days, {min_trades} needed"
        out[~eligible & (trades == count)] = text
    return out


def top_movers(row: Mapping[str, float], count: int = 3) -> list[tuple[str, float]]:
    """The variables that moved a bot most, as (name, points), largest first; those of 0 points are left out."""
    points = [(name, float(row[f"{name}_points"])) for name in VARIABLE_NAMES]
    moved = [item for item in points if item[1] != 0 and not np.isnan(item[1])]
    return sorted(moved, key=lambda item: -abs(item[1]))[:count]
