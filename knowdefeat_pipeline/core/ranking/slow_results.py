"""The two slow variables: what a bot has earned per day, net of its group, over a quarter and since its first day.

The other variables forget what is older than 30 days; half of what there is to know of a bot is older.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.ranking.ranking import subtract_group
from knowdefeat_pipeline.core.rows import codes
from knowdefeat_pipeline.core.units import DAY, Floats, Ints

QUARTER = 90 * DAY


class Lifetime(NamedTuple):
    """Σ n and the number of days of each bot over the days that had ended by `end` (µs)."""

    end: int
    total: Floats
    days: Floats


class SlowResults(NamedTuple):
    """At each as_of of each bot (as_ofs x bots): Σ n / √days over the trailing 90 days, NaN without a day; Σ n and the
    number of days over all."""

    quarter: Floats
    total: Floats
    days: Floats

    @property
    def lifetime(self) -> Floats:
        """Σ n / √days over all days, NaN without one."""
        return _per_root(self.total, self.days)


def net_results(end: Ints, group: Ints, result: Floats) -> Floats:
    """n: each result less λ = (k - 1)/(k + 3) of the mean of the k results of its group that end with it.

    `result`: a bot's net pnl of a day / its volatility when the day began, NaN where it did not trade. `group`: a code
    of its group then. A lone bot's n is its result.

    >>> net_results(np.array([1, 1]), np.array([0, 0]), np.array([1.0, 0.0]))
    array([ 0.9, -0.1])
    """
    known = np.flatnonzero(~np.isnan(result))
    pair = codes(end[known]) * (group.max(initial=0) + 2) + group[known]  # a group that is not known is -1
    out = np.full(len(result), np.nan)
    out[known] = subtract_group(result[known, None], codes(pair))[:, 0]
    return out


def slow_results(
    end: Ints, bot: Ints, net: Floats, as_of: Ints, bots: Ints, known: Lifetime | None = None
) -> SlowResults:
    """Of each of `bots` (ascending) at each `as_of` (µs): sums over the net results that have ended (`end`, µs) by
    then.

    Of results that had ended by `known`, those of the trailing 90 days suffice. Sums are taken day by day from the
    first on: neither a later row nor `known` changes a bit. A lone bot with results 1, -1, 2 and .5:

    >>> end, one = np.arange(1, 5) * DAY, np.ones(4, np.int64)
    >>> slow_results(end, one, np.array([1, -1, 2, 0.5]), end[-1:], one[:1]).lifetime
    array([[1.25]])
    """
    known = known or Lifetime(np.iinfo(np.int64).min, np.zeros(len(bots)), np.zeros(len(bots)))
    rows = np.flatnonzero(~np.isnan(net) & np.isin(bot, bots))
    ends, row = np.unique(end[rows], return_inverse=True)
    cell = row + 1, np.searchsorted(bots, bot[rows])
    net_of, days_of = np.zeros((2, len(ends) + 1, len(bots)))
    np.add.at(net_of, cell, net[rows])
    np.add.at(days_of, cell, 1)
    until, since = (np.searchsorted(ends, at, "right") for at in (as_of, as_of - QUARTER))
    quarter = np.zeros((len(as_of), len(bots)))
    for number in np.flatnonzero(since < until):
        quarter[number] = np.cumsum(net_of[since[number] + 1 : until[number] + 1], axis=0)[-1]
    count = np.cumsum(days_of, axis=0)
    counted = np.searchsorted(ends, known.end, "right")  # rows up to there are in `known`
    later = np.maximum(until - counted, 0)
    total, days = (
        np.cumsum(np.vstack([first, of[counted + 1 :]]), axis=0)[later]
        for first, of in ((known.total, net_of), (known.days, days_of))
    )
    return SlowResults(_per_root(quarter, count[until] - count[since]), total, days)


def follow_days(opening: pd.DataFrame, figures: pd.DataFrame, past: pd.DataFrame) -> pd.DataFrame:
    """The slow results of consecutive days: day, bot_id, net_result, quarter_result, lifetime_total, lifetime_days.

    Parameters
    ----------
    opening : DataFrame
        bot_id, volatility, main_ticker and main_direction at the end of the day before the first; no rows where that is
        not known, and the first day has no result.
    figures : DataFrame
        A row per bot and day (`day`, its number) with these columns and `one_day_performance`, money; `ended`: whether
        they are those of the day's end. A day that still runs has no result yet.
    past : DataFrame
        day, bot_id, net_result of the 90 days before the first; `is_last` marks the rows of the last of all days before
        it, with lifetime_total and lifetime_days up to there.

    Returns
    -------
    DataFrame
        One row per row of `figures`, in their order; net_result NaN where the bot has none, quarter_result without a
        day.
    """
    first, ended = int(figures["day"].min()), figures["ended"].to_numpy(bool)
    columns = ["day", "bot_id", "volatility", "main_ticker", "main_direction"]
    begun = pd.concat([opening.assign(day=first - 1)[columns], figures.loc[ended, columns]], ignore_index=True)
    begun = figures[["day", "bot_id"]].merge(begun.assign(day=begun["day"] + 1), "left", ["day", "bot_id"])
    volatility = begun["volatility"].to_numpy(np.float64)
    scale = np.where(ended & (volatility > 0), volatility, np.nan)
    result = figures["one_day_performance"].to_numpy(np.float64) / scale
    group = pd.factorize(begun["main_ticker"] + " " + begun["main_direction"])[0]
    day, bot = figures["day"].to_numpy(np.int64), figures["bot_id"].to_numpy(np.int64)
    net = net_results((day + 1) * DAY, group, result)
    bots, column = np.unique(bot, return_inverse=True)
    days, row = np.unique(day, return_inverse=True)
    last = past[past["is_last"]].set_index("bot_id")
    total, count = (
        last[name].reindex(bots, fill_value=0).to_numpy(np.float64) for name in ("lifetime_total", "lifetime_days")
    )
    found = slow_results(
        np.concatenate([(past["day"].to_numpy(np.int64) + 1) * DAY, (day + 1) * DAY]),
        np.concatenate([past["bot_id"].to_numpy(np.int64), bot]),
        np.concatenate([past["net_result"].to_numpy(np.float64), net]),
        (days + 1) * DAY,
        bots,
        Lifetime(first * DAY, total, count),
    )
    return pd.DataFrame(
        {
            "day": day,
            "bot_id": bot,
            "net_result": net,
            "quarter_result": found.quarter[row, column],
            "lifetime_total": found.total[row, column],
            "lifetime_days": found.days[row, column].astype(np.int64),
            "lifetime_result": found.lifetime[row, column],
        }
    )


def _per_root(total: Floats, days: Floats) -> Floats:
    out: Floats = np.divide(total, np.sqrt(days), out=np.full(total.shape, np.nan), where=days > 0)
    return out
