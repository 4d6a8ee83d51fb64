"""Panels: what was known of each bot at each as_of, ranked as the ranking ranks it, and what came next.

A panel's row at as_of j describes the bot by figures of trades closed before j; its label is what the bot earned over
[j, j + 1 day) (see `ranking.earnings`), complete only at j + 1 day. Who may read a label when is the reader's business
(`core.learning`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.ranking.ranking import centred_ranks, scale_free, subtract_group
from knowdefeat_pipeline.core.ranking.slow_results import net_results, slow_results
from knowdefeat_pipeline.core.schema.variables import SLOW_NAMES, VARIABLE, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import DAY, Bools, Floats, Ints

HORIZON = DAY
"""What a label looks ahead, in microseconds."""
KEYS = ("as_of", "bot_id", "group", "volatility")
REQUIRED = (*KEYS, *(name for name in VARIABLE_NAMES if name not in SLOW_NAMES), "label")
DRAWDOWN_AMOUNT = VARIABLE["avg_drawdown"].measure
CARRIED, ABSOLUTE = "carried", "absolute_pnl"
OPTIONAL = (DRAWDOWN_AMOUNT, *SLOW_NAMES, CARRIED, ABSOLUTE)
"""What a panel may lack: see `Panel.of`."""

# Ranks are rounded to 2^-20: sums over bots of products of two ranks are then exact in any order (up to 2^15 bots), so
# that neither the order of rows nor the shape of a matrix product can change a bit of what is learned.
GRID = 2.0**20


@dataclass(frozen=True)
class Panel:
    """Rows ordered by as_of, in their given order within it; day d has the rows start[d] to start[d + 1].

    frame: the rows as given, with all variables. as_of: one instant a day (µs, ascending), which need not be evenly
    spaced. ranks: rows x 19, the variables ranked from -0.5 to 0.5 within the as_of, 0 where absent.
    present: days x 19, in how many of the day's rows a variable is there.
    result: the label in units of the bot's volatility, NaN for an idle bot or one of unknown volatility.
    label: the result's rank from -0.5 to 0.5 within the as_of, NaN where the result is.
    net_result, net_label: the same of the result less its group's share, as the variables are less theirs: what the
        group's bots earn together on a day is noise to one who compares bots.
    carried, absolute: days; of the |pnl| that closed in the labels' interval, what had been earned before it and could
    not
        be marked, and all.
    """

    frame: pd.DataFrame
    as_of: Ints
    start: Ints
    ranks: Floats
    present: Ints
    result: Floats
    label: Floats
    net_result: Floats
    net_label: Floats
    carried: Floats
    absolute: Floats

    def __len__(self) -> int:
        return len(self.as_of)

    def rows(self, day: int) -> slice:
        return slice(self.start[day], self.start[day + 1])

    @property
    def day(self) -> Ints:
        """The number of each row's day."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def rank_scores(self, weights: Floats) -> Floats:
        """Each row's rank score, 0..100, under the weights of its day (days x 19) or one set (19)."""
        weights = np.broadcast_to(weights, (len(self), len(VARIABLE_NAMES)))[self.day]
        out: Floats = 50 + 100 * (self.ranks * weights).sum(axis=1) / np.abs(weights).sum(axis=1)
        return out

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Panel:
        """From columns as_of (UTC), bot_id, group, volatility, Know-Defeat's 17 variables and label, in any order of
        rows.

        label: money that the bot earned in the day after as_of, NaN where it was flat. Optional columns:
        `avg_drawdown_amount`, money in whose place `avg_drawdown` is read else; `quarter_result` and `lifetime_result`,
        which follow from the labels that had ended by as_of where they are not given; `carried`, the |pnl| of what
        closed with the label but had been earned before as_of (else 0), and `absolute_pnl`, that of all that closed
        with it (else |label|). Infinite figures count as absent; a row without a group is a group of its own. Raises
        ValueError for missing columns, a row without as_of or bot, or two rows of one bot at one as_of.
        """
        missing = [name for name in REQUIRED if name not in frame.columns]
        if missing:
            raise ValueError(f"the panel lacks {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
        for name in ("as_of", "bot_id"):
            absent = frame[name].isna().to_numpy()
            if absent.any():
                raise ValueError(f"row {np.argmax(absent) + 1} has no {name}; every row names its as_of and its bot")
        frame = frame.assign(as_of=pd.to_datetime(frame["as_of"], utc=True)).sort_values(
            "as_of", kind="stable", ignore_index=True
        )
        twice = frame.duplicated(["as_of", "bot_id"])
        if twice.any():
            row = frame[twice].iloc[0]
            raise ValueError(f"bot {row['bot_id']} has two rows at {row['as_of']}; a panel has one per as_of and bot")
        day, as_of = pd.factorize(pd.DatetimeIndex(frame["as_of"]).as_unit("us").asi8)
        group = _groups(frame["group"], day)
        figures = _figures(frame)
        result = (figures["label"] / figures["volatility"].where(figures["volatility"] > 0)).to_numpy(np.float64)
        net = net_results(day, group, result)
        if not set(SLOW_NAMES) <= set(frame.columns):
            slow = _slow_results(as_of, day, frame["bot_id"], net)
            slow = {name: values for name, values in slow.items() if name not in frame.columns}
            frame, figures = frame.assign(**slow), figures.assign(**slow)
        values = scale_free(figures)
        size = np.bincount(day, minlength=len(as_of))
        return cls(
            frame=frame,
            as_of=as_of,
            start=np.concatenate([[0], np.cumsum(size)]),
            ranks=on_grid(centred_ranks(subtract_group(values, group), day)),
            present=_count(~np.isnan(values), day, len(as_of)),
            result=result,
            label=_rank(result, day),
            net_result=net,
            net_label=_rank(net, day),
            carried=_sum(figures[CARRIED], day, len(as_of)),
            absolute=_sum(figures[ABSOLUTE], day, len(as_of)),
        )


def on_grid(ranks: Floats) -> Floats:
    """Ranks rounded to the grid on which sums of products are exact."""
    return np.round(ranks * GRID) / GRID


def _figures(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that are computed with, as floats; infinite ones absent."""
    given = [name for name in OPTIONAL if name in frame.columns]
    figures = frame[[*(name for name in REQUIRED if name not in ("as_of", "bot_id", "group")), *given]].astype(
        np.float64
    )
    absent: dict[str, Any] = {DRAWDOWN_AMOUNT: figures["avg_drawdown"], CARRIED: 0.0, ABSOLUTE: figures["label"].abs()}
    figures = figures.assign(**{name: values for name, values in absent.items() if name not in given})
    return figures.where(np.isfinite(figures))


def _slow_results(as_of: Ints, day: Ints, bot_id: pd.Series, net: Floats) -> dict[str, Floats]:
    """The slow variables of each row, from the results of the rows whose label had ended by its as_of."""
    bot, names = pd.factorize(bot_id)
    found = slow_results(as_of[day] + HORIZON, bot, net, as_of, np.arange(len(names)))
    return dict(zip(SLOW_NAMES, (of[day, bot] for of in (found.quarter, found.lifetime)), strict=True))


def _groups(group: pd.Series, day: Ints) -> Ints:
    """A code for each day's each group, by first appearance; rows without a group stand alone."""
    code = pd.factorize(group)[0]
    code = np.where(code < 0, len(code) + np.arange(len(code)), code)
    return pd.factorize(day * 2 * (len(code) + 1) + code)[0]


def _rank(values: Floats, day: Ints) -> Floats:
    ranks = on_grid(centred_ranks(values[:, None], day)[:, 0])
    return np.where(np.isnan(values), np.nan, ranks)


def _sum(amounts: pd.Series, day: Ints, days: int) -> Floats:
    """Of each day, absent ones counting 0."""
    return np.bincount(day, amounts.fillna(0.0).to_numpy(np.float64), minlength=days).astype(np.float64)


def _count(present: Bools, day: Ints, days: int) -> Ints:
    columns = [np.bincount(day, present[:, column], minlength=days) for column in range(present.shape[1])]
    return np.stack(columns, axis=1).astype(np.int64)
